"""From a file's voxels to the model's: the one preprocessing of training, command line and server.

RAS+ order -> crop to the nonzero box -> clip and z-score on the native voxels -> trilinear to the working
grid. This is nnU-Net's order and its target shape, so that training through nnU-Net sees the same numbers.
Padding comes later, with 0, which is the mean.

Paper: supplement 7, data preprocessing. Departs: the paper resamples before it clips (docs/decisions/0001).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from iris_core.errors import InputError
from iris_core.preprocessing.grid import Grid, Spacing, make_grid, resample
from iris_core.preprocessing.intensity import PAPER, IntensityRecipe, normalise
from iris_core.volume.boxes import Box, slices_of
from iris_core.volume.orientation import to_canonical
from iris_core.volume.volume import LabelVolume, Volume

MOST_VOXELS = 320**3  # of a working grid; a larger one is a mistake in the spacing


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
        box: along the RAS+ axes; the image is prepared as if it ended there.

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
    """The masks of K classes on a prepared image's grid, by trilinear interpolation.

    Args:
        label: the segmentation, in the image's own grid (see `iris_core.volume.label_grid.fit_label`).
        values: of the classes.
        grid: of the prepared image.

    Returns:
        (K, D, H, W) float32 in [0, 1].

    Raises:
        InputError: the label's shape is not the image's.
    """
    return _on_grid(label, (label.masks([value])[0] for value in values), len(values), grid)


def prepare_unknown(label: LabelVolume, values: Sequence[int], grid: Grid) -> torch.Tensor | None:
    """As `prepare_masks`, the voxels in which a label leaves K classes unknown; None where there are none."""
    unknown = [label.unknown(value) for value in values]
    if all(one is None for one in unknown):
        return None
    nowhere = np.zeros(label.shape, dtype=bool)
    return _on_grid(label, (nowhere if one is None else one for one in unknown), len(values), grid)


def _on_grid(label: LabelVolume, masks: Iterable[np.ndarray], count: int, grid: Grid) -> torch.Tensor:
    """A number of masks (I, J, K) of a label on a working grid, brought there one by one."""
    if label.shape != grid.native_shape:
        raise InputError(
            "the label's grid is not the image's",
            where=label.source,
            expected=f"shape {grid.native_shape}",
            found=f"shape {label.shape}",
        )
    maps = torch.empty((count, *grid.shape), dtype=torch.float32)
    for index, mask in enumerate(masks):
        part = np.ascontiguousarray(_cropped(mask, grid), dtype=np.float32)
        maps[index] = resample(torch.from_numpy(part)[None], grid.shape)[0]
    return maps


def _cropped(array: np.ndarray, grid: Grid) -> np.ndarray:
    return to_canonical(array, grid.native_affine)[slices_of(grid.crop)]
