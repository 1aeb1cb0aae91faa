"""NIfTI files with any header, written field by field: both forms, both codes, units, sizes, types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

METRES, MILLIMETRES, MICROMETRES, NOT_STATED = 1, 2, 3, 0
PER_MM = {METRES: 1e-3, MILLIMETRES: 1.0, MICROMETRES: 1e3, NOT_STATED: 1.0}


@dataclass
class Header:
    """What a file is to state.

    Args:
        sform, qform: (4, 4), voxel -> RAS+ mm; None leaves the fields at 0.
        sform_code, qform_code: 0 to 5.
        unit: code of the unit that the numbers are written in.
        sizes: pixdim in mm where it is not the qform's, or the sform's, column lengths.
        dtype: how voxels are stored; with a byte order.
        slope, inter: of the stored values.
        second: NIfTI-2.
        time_axis: a fourth axis of length 1.
    """

    sform: np.ndarray | None = None
    sform_code: int = 1
    qform: np.ndarray | None = None
    qform_code: int = 0
    unit: int = MILLIMETRES
    sizes: tuple[float, float, float] | None = None
    dtype: str = "<i2"
    slope: float = 1.0
    inter: float = 0.0
    second: bool = False
    time_axis: bool = False


def write_nifti(path: Path, values: np.ndarray, want: Header) -> Path:
    """Writes `values` (whole numbers that the type holds are stored; slope and intercept change them)."""
    kind = nib.Nifti2Header if want.second else nib.Nifti1Header
    header = kind(endianness=want.dtype[0])
    header.set_data_shape((*values.shape, 1) if want.time_axis else values.shape)
    header.set_data_dtype(np.dtype(want.dtype[1:]))
    per_mm = np.diag([*[PER_MM[want.unit]] * 3, 1.0])
    form = want.qform if want.qform is not None else want.sform
    if want.qform is not None:
        header.set_qform(per_mm @ want.qform, want.qform_code)
    if want.sform is not None:
        header.set_sform(per_mm @ want.sform, want.sform_code)
    sizes = want.sizes or (np.ones(3) if form is None else np.linalg.norm(form[:3, :3], axis=0))
    header["pixdim"][1:4] = np.asarray(sizes) * PER_MM[want.unit]
    header["qform_code"], header["sform_code"] = want.qform_code, want.sform_code
    header["xyzt_units"] = want.unit + 8  # seconds
    header["scl_slope"], header["scl_inter"] = want.slope, want.inter
    header["magic"] = header.single_magic
    header["vox_offset"] = 544 if want.second else 352
    with nib.openers.Opener(path, "wb") as file:
        header.write_to(file)
        file.write(b"\0" * (int(header["vox_offset"]) - file.tell()))
        file.write(values.astype(want.dtype).tobytes(order="F"))
    return path
