"""NIfTI through nibabel: array and affine as nibabel gives them (sform before qform, slope applied)."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from iris_core.errors import InputError
from iris_core.volume_io.atomic import atomic_path
from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.label_table import LabelTable

UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError)
SCANNER = 1  # xform code: scanner-based anatomical coordinates
QFORM_TOLERANCE_MM = 1e-3

log = logging.getLogger(__name__)


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a NIfTI file.

    A header with neither sform nor qform is warned of: nibabel then takes the first axis to run to the left.

    Returns:
        Array with its axes as stored, slope and intercept applied, RGB as a last axis; affine (4, 4) float64.

    Raises:
        InputError: not a NIfTI file, or cut short.
    """
    try:
        image = open_exactly(path)
        array = np.asanyarray(image.dataobj)
    except UNREADABLE as error:
        raise InputError(
            "cannot be read as NIfTI",
            where=path,
            found=str(error) or type(error).__name__,
            remedy="the file is damaged, cut short or of another kind; copy or convert it again",
        ) from error
    if array.dtype.names:  # RGB or RGBA
        array = np.stack([array[name] for name in array.dtype.names], axis=-1)
    affine = image.affine
    if not image.header["sform_code"] and not image.header["qform_code"]:
        log.warning("%s: has neither sform nor qform; left and right are a guess", path)
    if affine is None:
        affine = np.full((4, 4), np.nan)
    return array, np.asarray(affine, dtype=np.float64)


def save(array: np.ndarray, affine: np.ndarray, path: Path, *, table: LabelTable | None = None) -> None:
    """Writes (I, J, K) integers as NIfTI: sform exact to float32, qform where it can say the same, mm.

    Args:
        array: label values.
        affine: (4, 4), voxel -> RAS+ mm.
        path: where to.
        table: names, colours and software for a header extension.
    """
    image = nib.Nifti1Image(array, affine)
    if table is not None:
        image.header.extensions.append(table.as_extension())
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, SCANNER)
    image.set_qform(affine, SCANNER)
    if not np.allclose(image.get_qform(), affine, atol=QFORM_TOLERANCE_MM):  # a sheared grid
        image.set_qform(None, 0)
    with atomic_path(path) as hidden:
        nib.save(image, hidden)
