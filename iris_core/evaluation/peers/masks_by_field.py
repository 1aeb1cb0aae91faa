"""What registration peers share: prepare both images, carry each reference's masks over, let them vote.

A peer of this kind differs from another only in how it finds the field between two prepared images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from iris_core.evaluation.peers.copy_prompt import label_on_query
from iris_core.preprocessing.grid import Grid, Spacing, restore_label_map
from iris_core.preprocessing.prepare import prepare_image, prepare_masks
from iris_core.volume.volume import LabelVolume, Volume

if TYPE_CHECKING:
    import SimpleITK

# The query, a reference and a seed -> the map of points of the query to points of the reference, in mm from
# the middle of each.
FindField = Callable[["SimpleITK.Image", "SimpleITK.Image", int], "SimpleITK.Transform"]


def masks_by_field(
    references: Sequence[tuple[Volume, LabelVolume]],
    query: Volume,
    values: Sequence[int],
    find_field: FindField,
    *,
    modality: str,
    spacing: Spacing,
    seed: int = 0,
) -> LabelVolume:
    """Segments a query; with several references the mean of their carried masks counts.

    Args:
        references: images with label maps in their grids.
        query: the image to segment.
        values: label values wanted.
        find_field: finds where the points of the prepared query lie in a prepared reference.
        modality: "ct", "mr" or "pet", of all images.
        spacing: working voxel size along the RAS+ axes, mm.
        seed: of the voxels that are compared.

    Returns:
        A label map in the query's own grid; 0 where no mask reaches one half.
    """
    target = prepare_image(query, modality=modality, spacing=spacing)
    fixed = itk_image(target.image[0], target.grid)
    carried = torch.zeros(len(values), *target.grid.shape)
    holders = torch.zeros(len(values))
    for image, label in references:
        held = [index for index, value in enumerate(values) if value in label.values]
        if not held:
            continue
        moving = prepare_image(image, modality=modality, spacing=spacing)
        masks = prepare_masks(label, [values[index] for index in held], moving.grid)
        floating = itk_image(moving.image[0], moving.grid)
        carried[held] += _through(find_field(fixed, floating, seed), masks, fixed, moving.grid)
        holders[held] += 1
    share = carried / holders.clamp_min(1)[:, None, None, None]
    return label_on_query(restore_label_map(share - 0.5, target.grid, values), query, references[0][1])


def itk_image(volume: torch.Tensor, grid: Grid) -> SimpleITK.Image:
    """A (D, H, W) volume as an ITK image whose axes are RAS+, in mm, centred on its own middle."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.numpy().transpose(2, 1, 0)))
    image.SetSpacing([float(size) for size in grid.spacing])
    image.SetOrigin([-(n - 1) / 2 * float(size) for n, size in zip(grid.shape, grid.spacing, strict=True)])
    return image


def _through(
    field: SimpleITK.Transform, masks: torch.Tensor, fixed: SimpleITK.Image, grid: Grid
) -> torch.Tensor:
    """Masks (K, D, H, W) on a reference's grid, carried over to the grid of the fixed image."""
    import SimpleITK as sitk

    moved = [sitk.Resample(itk_image(mask, grid), fixed, field, sitk.sitkLinear, 0.0) for mask in masks]
    return torch.from_numpy(np.stack([sitk.GetArrayFromImage(one).transpose(2, 1, 0) for one in moved]))
