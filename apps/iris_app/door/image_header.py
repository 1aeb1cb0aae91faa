"""What the header of an image file claims, read without its voxels."""

from __future__ import annotations

import math
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume_io.suffix import NIFTI, suffix_of


def voxels_of(path: Path) -> int:
    """How many voxels a file claims to hold.

    Raises:
        InputError: it is no image.
    """
    try:
        if suffix_of(path) in NIFTI:
            import nibabel as nib

            return math.prod(map(int, nib.load(path).shape))
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        return math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    except Exception as error:  # whatever a library says of a broken file, it is the same to us
        raise InputError("is no image that can be read") from error
