"""FreeSurfer's MGH and MGZ through nibabel."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.file_size import refuse_damaged_packing
from iris_core.volume_io.nifti.images import UNREADABLE

FLAG_AT = 28  # byte of goodRASFlag, two bytes, big-endian; nibabel sets it to 1 when it guesses


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads an MGH file.

    Warns once of a header that places no voxels.

    Returns:
        Array with its axes as stored; affine (4, 4) float64, voxel -> RAS+ mm.

    Raises:
        InputError: not such a file, or cut short.
    """
    try:
        image = open_exactly(path)
        if not _is_placed(path):
            remark(path, "states no place of its voxels (goodRASFlag 0); FreeSurfer's usual one is a guess")
        array = np.asanyarray(image.dataobj)
        refuse_damaged_packing(path)
        return array, np.asarray(image.affine, dtype=np.float64)
    except UNREADABLE as error:
        raise InputError(
            "cannot be read as MGH",
            where=path,
            found=str(error) or type(error).__name__,
            remedy="the file is damaged, cut short or of another kind; copy or convert it again",
        ) from error


def _is_placed(path: Path) -> bool:
    """Whether the header says that its directions and voxel sizes count."""
    with nib.openers.ImageOpener(str(path), "rb") as file:
        return file.read(FLAG_AT + 2)[FLAG_AT:] != b"\0\0"
