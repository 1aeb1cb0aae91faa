"""The header of a NIfTI label: its first bytes alone, whatever the rest of the file unpacks to."""

from __future__ import annotations

import gzip
import zlib
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from apps.iris_app.submissions.label_header import LabelHeader
from apps.iris_app.submissions.text_header import itk_grid
from iris_core.errors import InputError

SIZES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}  # bytes of the header, which its first number repeats
MAGIC = (b"n+1", b"n+2")  # voxels in the same file; "ni1" and "ni2" lie in another one
MOST_EXTENSIONS = 1 << 20  # bytes between header and voxels
UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # code of the unit of length -> mm


def nifti_header(path: Path) -> LabelHeader:
    """The facts of a NIfTI label.

    Raises:
        InputError: no NIfTI, damaged, voxels in another file, colours, complex numbers, or not three axes.
    """
    header = _header(path)
    shape, affines = nifti_grid(path)
    offset = int(header["vox_offset"])
    if not int(header["sizeof_hdr"]) <= offset <= MOST_EXTENSIONS:
        raise _damaged(path, f"voxels from byte {offset} on")
    dtype = header.get_data_dtype()
    if dtype.fields or dtype.kind not in "buif":
        raise InputError(
            "holds no plain numbers", where=path, expected="one per voxel", found=f"{dtype} voxels"
        )
    slope, intercept = header.get_slope_inter()
    scale = (1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    packing = "file" if path.name.lower().endswith(".gz") else ""
    return LabelHeader(path, shape, 1, dtype, offset, packing, scale, affines, partial=False)


def nifti_grid(path: Path) -> tuple[tuple[int, int, int], tuple[np.ndarray, ...]]:
    """Shape and every place that the header states: sform, qform, and what ITK makes of both.

    Raises:
        InputError: no NIfTI, damaged, not three axes, or no place in space at all.
    """
    header = _header(path)
    size = [int(length) for length in header["dim"]]
    count = size[0]
    if not 1 <= count <= 7 or any(length < 1 for length in size[1 : count + 1]):
        raise _damaged(path, f"sizes {size[1:]}")
    sizes = size[1 : count + 1]
    if len(sizes) < 3 or any(length > 1 for length in sizes[3:]):
        raise InputError(
            "is not one 3D volume", where=path, expected="three axes", found=f"shape {tuple(sizes)}"
        )
    scale = UNITS.get(int(header["xyzt_units"]) & 7, 1.0)
    stated = []
    for form in (header.get_best_affine, *([header.get_qform] if header["qform_code"] else [])):
        with suppress(HeaderDataError, ValueError):  # its numbers are no rotation: the sform counts
            stated.append(form())
    affines = [np.diag([scale, scale, scale, 1.0]) @ np.asarray(affine, float) for affine in stated]
    if not affines or not np.isfinite(affines[0]).all():  # the reader's own place
        raise InputError("the affine does not place the voxels in space", where=path)
    if scale != 1:
        affines.append(np.asarray(stated[0], float))  # of a program that copies the numbers and not the unit
    with suppress(InputError):  # ITK refuses what nibabel reads
        affines.append(itk_grid(path)[1])
    usable = [a for a in affines if np.isfinite(a).all() and np.linalg.det(a[:3, :3])]
    if not usable:
        raise InputError("the affine does not place the voxels in space", where=path)
    return (sizes[0], sizes[1], sizes[2]), tuple(usable)


def _header(path: Path) -> nib.Nifti1Header:
    packed = path.name.lower().endswith(".gz")
    try:
        with gzip.open(path) if packed else open(path, "rb") as file:
            start = file.read(max(SIZES))
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    for order in ("<", ">"):
        kind = SIZES.get(int(np.frombuffer(start[:4].ljust(4, b"\0"), f"{order}i4")[0]))
        if kind is None or len(start) < kind.sizeof_hdr:
            continue
        header = kind(start[: kind.sizeof_hdr], endianness=order, check=False)
        if header["pixdim"][0] not in (-1, 1):  # no sign: as nibabel takes it where it opens a file
            header["pixdim"][0] = 1
        if bytes(header["magic"])[:3] not in MAGIC:
            raise _damaged(path, "voxels that lie in another file")
        try:
            header.get_data_dtype()
        except (HeaderDataError, KeyError) as error:
            raise _damaged(path, f"voxels of kind {int(header['datatype'])}") from error
        return header
    raise _damaged(path, "another kind of file")


def _damaged(path: Path, found: str) -> InputError:
    return InputError("cannot be read as NIfTI", where=path, expected="a whole NIfTI file", found=found)
