"""FreeSurfer's MGH and MGZ through nibabel."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.nifti import UNREADABLE


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads an MGH file.

    Returns:
        Array with its axes as stored; affine (4, 4) float64, voxel -> RAS+ mm.

    Raises:
        InputError: not such a file, or cut short.
    """
    try:
        image = open_exactly(path)
        return np.asanyarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
    except UNREADABLE as error:
        raise InputError(
            "cannot be read as MGH",
            where=path,
            found=str(error) or type(error).__name__,
            remedy="the file is damaged, cut short or of another kind; copy or convert it again",
        ) from error
