"""Writing a label or an image: whole or not at all."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.label_values import whole_numbers
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io.itk import images as itk
from iris_core.volume_io.itk import seg_nrrd
from iris_core.volume_io.nifti import images as nifti
from iris_core.volume_io.nifti.label_table import LabelTable
from iris_core.volume_io.suffix import NIFTI, SEGMENTATION, WRITABLE, suffix_of

log = logging.getLogger(__name__)


def write_label(label: LabelVolume, path: str | Path) -> None:
    """Writes a segmentation in its own grid, with the smallest of uint8, uint16 and int32 that holds it.

    Every format keeps names, colours and the software's name: NIfTI in a header extension
    (`iris_core.volume_io.nifti.label_table`), NRRD and MetaImage in Slicer's segment fields. Overlapping
    layers are kept in .seg.nrrd alone.

    NIfTI takes over the numbers of the query's own header where `label.placement` holds them. Other formats
    place the voxels where ITK's viewers show the query.

    Args:
        label: what to write.
        path: .nii, .nii.gz, .nrrd, .seg.nrrd or .mha; missing folders are made.

    Raises:
        InputError: another suffix, label values that are no whole numbers from 0 on, or a folder that cannot
            be written to. Whatever stood at `path` is then still there.
    """
    path = Path(path)
    suffix = suffix_of(path)
    if suffix not in WRITABLE:
        raise InputError("a label cannot be written in this format", where=path, expected=", ".join(WRITABLE))
    if suffix in SEGMENTATION:
        seg_nrrd.save(label, path)
        return
    if label.layers:
        log.warning("%s: overlapping structures cover each other here; .seg.nrrd keeps them apart", path)
    array = whole_numbers(label.array, path)
    if suffix in NIFTI:
        nifti.save(array, label.affine, path, placement=label.placement, table=LabelTable.of(label))
    else:
        flat = replace(label, layers=())
        itk.save(array, label.itk_affine, path, seg_nrrd.segment_fields(flat, [array], list(label.names)))


def write_image(image: Volume, path: str | Path) -> None:
    """Writes an image as NIfTI in mm, both forms alike: int16 where that loses nothing, else float32.

    Raises:
        InputError: the folder cannot be written to.
    """
    array, limits = image.array, np.iinfo(np.int16)
    if limits.min <= array.min() and array.max() <= limits.max and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int16)
    nifti.save(array, image.affine, Path(path))
