"""NIfTI through nibabel: sform before qform, slope applied, lengths in mm whatever unit the header states."""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from iris_core.errors import InputError
from iris_core.triple import triple
from iris_core.volume.placement import Placement
from iris_core.volume_io.atomic import atomic_path
from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.file_size import refuse_damaged_packing, refuse_impossible_size
from iris_core.volume_io.nifti.label_table import LabelTable
from iris_core.volume_io.nifti.nifti_header import placement_of

UNREADABLE = (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError)
SCANNER = 1  # xform code: scanner-based anatomical coordinates
QFORM_TOLERANCE_MM = 1e-3
NO_ROTATION = "w2 should be positive"  # what nibabel says of it


def load(path: Path) -> tuple[np.ndarray, Placement]:
    """Reads a NIfTI file, or either file of a pair .hdr and .img.

    Returns:
        Array with its axes as stored, slope and intercept applied, RGB as a last axis; the place of its
        voxels, in mm and as the header states it.

    Raises:
        InputError: not a NIfTI file (Analyze, which it looks like, states no orientation), or cut short.
    """
    try:
        image = open_exactly(path)
        if isinstance(image, nib.Nifti1Pair):
            refuse_impossible_size(image)
        array = np.asanyarray(image.dataobj)
        refuse_damaged_packing(path)
    except UNREADABLE as error:
        said = str(error) or type(error).__name__
        raise InputError(
            "cannot be read as NIfTI",
            where=path,
            found="a qform whose numbers are no rotation, and no sform" if NO_ROTATION in said else said,
            remedy="the file is damaged, cut short or of another kind; copy or convert it again",
        ) from error
    if not isinstance(image, nib.Nifti1Pair):
        raise InputError(
            "is no NIfTI file",
            where=path,
            expected="NIfTI, whose header says where left and right are",
            found=type(image).__name__.removesuffix("Image"),
            remedy="convert it to NIfTI with a tool that knows how it was acquired",
        )
    if array.dtype.names:  # RGB or RGBA
        array = np.stack([array[name] for name in array.dtype.names], axis=-1)
    return array, placement_of(image, path)


def save(
    array: np.ndarray,
    affine: np.ndarray,
    path: Path,
    *,
    placement: Placement | None = None,
    table: LabelTable | None = None,
) -> None:
    """Writes (I, J, K) integers as NIfTI, whole or not at all.

    Args:
        array: the voxels.
        affine: (4, 4), voxel -> RAS+ mm. It is written as sform, exact to float32, and as qform where a qform
            can state the same, with the unit mm.
        path: the file.
        placement: of the query; where it describes this very grid, its numbers are written instead.
        table: names, colours and software for a header extension.
    """
    if placement is not None and placement.places(triple(array.shape), affine):
        image = _placed(array, placement)
    else:
        image = _in_mm(array, affine)
    if table is not None:
        image.header.extensions.append(table.as_extension())
    with atomic_path(path) as hidden:
        nib.save(image, hidden)


def _placed(array: np.ndarray, placement: Placement) -> nib.Nifti1Image:
    """An image whose header has the placing numbers of another."""
    image = nib.Nifti1Image(array, None)
    for name, value in placement.fields.items():
        if name == "pixdim":
            image.header["pixdim"][:4] = value
        else:
            image.header[name] = value
    return image


def _in_mm(array: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    image = nib.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, SCANNER)
    image.set_qform(affine, SCANNER)
    if not np.allclose(image.get_qform(), affine, atol=QFORM_TOLERANCE_MM):  # a sheared grid
        image.set_qform(None, 0)
    return image
