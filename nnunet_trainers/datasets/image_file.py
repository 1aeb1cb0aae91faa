"""Image files as nnU-Net's NIfTI reader needs them, and their grid without their voxels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from iris_core.errors import InputError
from iris_core.volume.volume import Volume
from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.nifti.nifti_header import placement_of, scale_of
from iris_core.volume_io.suffix import NIFTI, suffix_of


def readable_by_nnunet(path: Path) -> bool:
    """Whether nnU-Net's reader, which reorients, takes the file: NIfTI with three axes, sizes in mm."""
    if suffix_of(path) not in NIFTI:
        return False
    image = nib.load(path)
    return isinstance(image, nib.Nifti1Pair) and image.ndim == 3 and scale_of(image.header) == 1


def header_of(path: Path) -> Volume:
    """A NIfTI file's grid in its own order; the array is a stand-in that takes no memory.

    Raises:
        InputError: it is of another format.
    """
    image = open_exactly(path)
    if not isinstance(image, nib.Nifti1Pair):
        raise InputError("is no NIfTI file", where=path)
    placement = placement_of(image, path)
    return Volume(
        np.broadcast_to(np.float32(0), image.shape[:3]), placement.affine, source=path, placement=placement
    )
