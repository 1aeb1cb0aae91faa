"""What the header of an image file claims, read without its voxels."""

from __future__ import annotations

import math
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume_io.exact_file import open_exactly
from iris_core.volume_io.suffix import NIFTI, suffix_of


def size_of(path: Path) -> tuple[int, int]:
    """How many voxels a file claims to hold, and how many bytes they take unpacked.

    Raises:
        InputError: it is no image.
    """
    try:
        if suffix_of(path) in NIFTI:
            image = open_exactly(path)
            voxels = math.prod(map(int, image.shape))
            return voxels, voxels * image.get_data_dtype().itemsize
        import SimpleITK as sitk

        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
        voxels = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
        return voxels, voxels * sitk.Image([1, 1, 1], reader.GetPixelID()).GetSizeOfPixelComponent()
    except Exception as error:  # whatever a library says of a broken file, it is the same to us
        raise InputError("is no image that can be read") from error
