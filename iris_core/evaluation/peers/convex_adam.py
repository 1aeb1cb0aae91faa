"""The strongest peer without training: ConvexAdam, after an affine registration.

ConvexAdam compares MIND-SSC descriptors of both images over a grid of displacements, couples the best ones by
convex optimisation, forward and backward, and refines the field with Adam. The package `convexadam` (extra
`peers`) computes it, in float32; Siebert et al., IEEE Transactions on Medical Imaging, 2024.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.evaluation.peers.masks_by_field import itk_image, masks_by_field
from iris_core.evaluation.peers.registration import affine
from iris_core.preprocessing.grid import Spacing
from iris_core.preprocessing.prepare import Prepared
from iris_core.volume.volume import LabelVolume, Volume

if TYPE_CHECKING:
    import SimpleITK

GRID = 4  # working voxels between the displacements that are searched, at most
REACH = 5  # cells of that grid, to either side
FEWEST_CELLS = 6  # along the shortest side; smaller images get a finer grid


def require_convex_adam() -> None:
    """Checks that the package is installed.

    Raises:
        InputError: it is not.
    """
    if importlib.util.find_spec("convexAdam") is None:
        raise InputError(
            "ConvexAdam is not installed", where="--convexadam", expected="the package convexadam",
            remedy="pip install convexadam==0.2.0, or install Iris with its extra: .[peers]",
        )  # fmt: skip


def convex_adam(
    references: Sequence[tuple[Volume, LabelVolume]],
    query: Volume,
    values: Sequence[int],
    *,
    modality: str,
    spacing: Spacing,
    seed: int = 0,
) -> LabelVolume:
    """Segments a query by ConvexAdam; with several references the mean of their carried masks counts.

    Args:
        references: images with label maps in their grids.
        query: the image to segment.
        values: label values wanted.
        modality: "ct", "mr" or "pet", of all images.
        spacing: working voxel size along the RAS+ axes, mm.
        seed: of the voxels that the affine registration compares.

    Returns:
        The label map in the query's own grid; where no mask reaches one half, 0.

    Raises:
        InputError: the package is not installed.
    """
    require_convex_adam()
    find_field = partial(_affine_and_displacements, seed=seed)
    return masks_by_field(references, query, values, find_field, modality=modality, spacing=spacing)


def _affine_and_displacements(target: Prepared, moving: Prepared, seed: int) -> SimpleITK.Transform:
    import SimpleITK as sitk

    fixed, floating = itk_image(target.image[0], target), itk_image(moving.image[0], moving)
    start = affine(fixed, floating, seed)
    darkest = float(moving.image.min())
    brought = sitk.GetArrayFromImage(sitk.Resample(floating, fixed, start, sitk.sitkLinear, darkest))
    voxels = _displacements(target.image[0].numpy(), brought.transpose(2, 1, 0).copy())
    millimetres = voxels * np.asarray(target.grid.spacing, float)
    field = sitk.GetImageFromArray(np.ascontiguousarray(millimetres.transpose(2, 1, 0, 3)), isVector=True)
    field.CopyInformation(fixed)
    return sitk.CompositeTransform([start, sitk.DisplacementFieldTransform(field)])


def _displacements(fixed: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Where each voxel of `fixed` (D, H, W) lies in `moving`: (D, H, W, 3), in voxels."""
    import torch

    grid = max(1, min(GRID, min(fixed.shape) // FEWEST_CELLS))
    with warnings.catch_warnings():  # the package switches off everybody's warnings when it is imported
        warnings.simplefilter("ignore")
        from convexAdam.convex_adam_MIND import convex_adam_pt

        return convex_adam_pt(
            fixed, moving, grid_sp=grid, disp_hw=REACH, grid_sp_adam=min(2, grid),
            dtype=torch.float32, device=torch.device("cpu"),
        )  # fmt: skip
