"""From a file's voxels to the model's: the one preprocessing of training, command line and server.

RAS+ order -> crop to the nonzero box -> clip and z-score on the native voxels -> trilinear to the working
grid. This is nnU-Net's order and its target shape, so that training through nnU-Net sees the same numbers.
Padding comes later, with 0, which is the mean.

Paper: supplement 7, data preprocessing. Departs: the paper resamples before it clips (docs/decisions/0001).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from iris_core.errors import InputError
from iris_core.preprocessing.grid import (
    Box,
    Grid,
    Spacing,
    label_map,
    make_grid,
    resample,
    restore,
    restore_label_map,
    restore_labels,
)
from iris_core.preprocessing.intensity import PAPER, IntensityRecipe, normalise
from iris_core.preprocessing.modality import detect_modality
from iris_core.preprocessing.spacing import choose_spacing
from iris_core.volume.orientation import to_canonical
from iris_core.volume.volume import LabelVolume, Volume

MOST_VOXELS = 320**3  # of a working grid; a larger one is a mistake in the spacing

__all__ = [
    "Grid",
    "Prepared",
    "choose_spacing",
    "detect_modality",
    "label_map",
    "prepare_image",
    "prepare_masks",
    "prepare_unknown",
    "restore",
    "restore_label_map",
    "restore_labels",
]


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as the model sees it.

    Attributes:
        image: (1, D, H, W) float32, RAS+, mean 0 and standard deviation 1 before resampling.
        grid: where it lies in the native volume.
    """

    image: torch.Tensor
    grid: Grid


def prepare_image(
    volume: Volume,
    *,
    modality: str,
    spacing: Spacing,
    recipe: IntensityRecipe = PAPER,
    box: Box | None = None,
) -> Prepared:
    """Prepares an image, reference or query alike.

    Args:
        volume: the image in its native order.
        modality: "ct", "mr" or "pet".
        spacing: working voxel size along the RAS+ axes, mm.
        recipe: of the intensities; the paper's, or the one that a training through nnU-Net names.
        box: prepares the image as if it ended there (see `iris_core.preprocessing.grid.make_grid`).

    Raises:
        InputError: unknown modality, a spacing that is not positive or makes the image huge, or an image of
            which clipping leaves nothing.
    """
    if len(spacing) != 3 or not all(np.isfinite(size) and size > 0 for size in spacing):
        raise InputError(
            "unusable spacing", where=volume.source, expected="3 positive sizes in mm", found=spacing
        )
    grid = make_grid(volume, spacing, box)
    if prod(grid.shape) > MOST_VOXELS:
        raise InputError(
            "is too large at the working spacing",
            where=volume.source,
            expected=f"at most {MOST_VOXELS} voxels",
            found=f"{tuple(grid.shape)} at {spacing} mm",
            remedy="use a coarser --spacing",
        )
    array = normalise(_cropped(volume.array, grid), modality, recipe)
    if not array.any():
        raise InputError(
            "nothing is left of the image once its values are clipped",
            where=volume.source,
            expected="values that vary within [-990, 500] HU" if modality == "ct" else
            "values that vary between their 2nd and 98th percentile",
            found=f"values from {volume.array.min():g} to {volume.array.max():g}, prepared as {modality}",
            remedy="choose another --modality, or crop the image to what it shows",
        )  # fmt: skip
    return Prepared(resample(torch.from_numpy(array)[None], grid.shape), grid)


def prepare_masks(label: LabelVolume, values: Sequence[int], grid: Grid) -> torch.Tensor:
    """Brings the masks of some classes onto an image's working grid.

    Args:
        label: the segmentation, in the image's own grid (see `iris_core.volume.label_grid.fit_label`).
        values: the K label values wanted.
        grid: the prepared image's grid.

    Returns:
        (K, D, H, W) float32 in [0, 1]: the binary masks, trilinearly resampled.

    Raises:
        InputError: the label's shape is not the image's.
    """
    if label.shape != tuple(grid.native_shape):
        raise InputError(
            "the label's grid is not the image's",
            where=label.source,
            expected=f"shape {tuple(grid.native_shape)}",
            found=f"shape {label.shape}",
        )
    masks = torch.empty((len(values), *grid.shape), dtype=torch.float32)
    for index, value in enumerate(values):
        mask = np.ascontiguousarray(_cropped(label.masks([value])[0], grid), dtype=np.float32)
        masks[index] = resample(torch.from_numpy(mask)[None], grid.shape)[0]
    return masks


def prepare_unknown(label: LabelVolume, values: Sequence[int], grid: Grid) -> torch.Tensor | None:
    """Brings what a label does not say of some classes onto an image's working grid.

    Args:
        label: as in `prepare_masks`.
        values: as in `prepare_masks`.
        grid: as in `prepare_masks`.

    Returns:
        (K, D, H, W) float32 in [0, 1]; None where the label says all of these classes.
    """
    unknown = [label.unknown(value) for value in values]
    if all(one is None for one in unknown):
        return None
    nowhere = np.zeros(label.shape, dtype=np.uint8)
    parts = [
        LabelVolume(nowhere if one is None else one.astype(np.uint8), label.affine, source=label.source)
        for one in unknown
    ]
    return torch.cat([prepare_masks(part, [1], grid) for part in parts])


def _cropped(array: np.ndarray, grid: Grid) -> np.ndarray:
    turned = to_canonical(array, grid.native_affine)
    return turned[tuple(slice(start, stop) for start, stop in grid.crop)]
