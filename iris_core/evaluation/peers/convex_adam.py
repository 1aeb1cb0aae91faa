"""The strongest peer without training: ConvexAdam, after an affine registration.

ConvexAdam compares MIND-SSC descriptors of both images over a grid of displacements, couples the best ones by
convex optimisation, forward and backward, and refines the field with Adam. The package `convexadam` (extra
`peers`) computes it, in float32; Siebert et al., IEEE Transactions on Medical Imaging, 2024.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.evaluation.peers.registration import affine

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


def affine_and_displacements(
    fixed: SimpleITK.Image, floating: SimpleITK.Image, seed: int
) -> SimpleITK.Transform:
    """The map of points of a query to points of a reference, as `masks_by_field` wants it.

    Raises:
        InputError: the package is not installed.
    """
    require_convex_adam()
    import SimpleITK as sitk

    start = affine(fixed, floating, seed)
    darkest = float(sitk.GetArrayViewFromImage(floating).min())
    brought = sitk.Resample(floating, fixed, start, sitk.sitkLinear, darkest)
    target, moving = (sitk.GetArrayFromImage(one).transpose(2, 1, 0).copy() for one in (fixed, brought))
    millimetres = _displacements(target, moving) * np.asarray(fixed.GetSpacing())
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
