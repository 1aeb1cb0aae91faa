"""Intensities: clip to the modality's window, then z-score the volume."""

from __future__ import annotations

import numpy as np

from iris_core.config import CT_CLIP, PERCENTILE_CLIP
from iris_core.errors import InputError

MODALITIES = ("ct", "mr", "pet")
SMALLEST_DEVIATION = 1e-8


def normalise(array: np.ndarray, modality: str) -> np.ndarray:
    """Clips an image and brings it to mean 0 and standard deviation 1.

    CT is clipped to [-990, 500] HU, MR and PET to their own 2nd and 98th percentile, exact over all voxels
    given. Mean and deviation are those of all voxels given, after clipping.

    Paper: supplement 7, data preprocessing.

    Args:
        array: any shape; the cropped volume on its native voxels.
        modality: "ct", "mr" or "pet".

    Returns:
        float32, same shape, contiguous. All 0 where nothing varies after clipping.

    Raises:
        InputError: unknown modality.
    """
    if modality not in MODALITIES:
        raise InputError("unknown modality", expected=" or ".join(MODALITIES), found=modality)
    low, high = CT_CLIP if modality == "ct" else np.percentile(array, PERCENTILE_CLIP)
    clipped = np.ascontiguousarray(np.clip(array, low, high), dtype=np.float32)
    mean = clipped.mean(dtype=np.float64)
    deviation = max(clipped.std(dtype=np.float64), SMALLEST_DEVIATION)
    clipped -= np.float32(mean)
    clipped /= np.float32(deviation)
    return clipped
