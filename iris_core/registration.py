"""The peer that clinics know: register every labelled study to the query, carry its masks over, and vote.

Affine, then B-splines, both by mutual information, with SimpleITK on the prepared volumes that the network
sees, at its working voxel size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from iris_core.grid import Spacing
from iris_core.preprocess import Prepared, prepare_image, prepare_masks, restore_label_map
from iris_core.volume import LabelVolume, Volume

BINS = 32  # of the joint histogram
SAMPLED = 0.2  # share of a level's voxels that are compared, within the limits below
FEWEST, MOST = 10_000, 40_000  # voxels compared at a level of the pyramid, where it has them
SHORTEST = 12  # voxels per side that a coarser level keeps
MESH_VOXELS = 10  # working voxels between the control points of the B-splines, about
PYRAMIDS = ((4, 2, 1), (2, 1))  # how much coarser each pass is: affine, B-splines
STEPS = (200, 50)  # at most, per level of the pyramid
LOOKS = 100  # at the B-splines' metric, at most, per level: a line search takes several a step


def registration(
    references: Sequence[tuple[Volume, LabelVolume]],
    query: Volume,
    values: Sequence[int],
    *,
    modality: str,
    spacing: Spacing,
    seed: int = 0,
) -> LabelVolume:
    """Segments a query by registration; with several references the mean of their carried masks counts.

    Args:
        references: images with label maps in their grids.
        query: the image to segment.
        values: label values wanted.
        modality: "ct", "mr" or "pet", of all images.
        spacing: working voxel size along the RAS+ axes, mm.
        seed: of the sampled voxels.

    Returns:
        The label map in the query's own grid; where no mask reaches one half, 0.
    """
    target = prepare_image(query, modality=modality, spacing=spacing)
    carried = torch.zeros(len(values), *target.grid.shape)
    holders = torch.zeros(len(values))
    for image, label in references:
        held = [index for index, value in enumerate(values) if value in label.values]
        if not held:
            continue
        moving = prepare_image(image, modality=modality, spacing=spacing)
        masks = prepare_masks(label, [values[index] for index in held], moving.grid)
        carried[held] += _carried(moving, masks, target, seed)
        holders[held] += 1
    share = carried / holders.clamp_min(1)[:, None, None, None]
    array = restore_label_map(share - 0.5, target.grid, values)
    return replace(
        references[0][1],
        array=array,
        affine=query.affine,
        source=query.source,
        layers=(),
        placement=query.placement,
        ignored=None,
        unlabelled={},
    )


def _carried(moving: Prepared, masks: torch.Tensor, target: Prepared, seed: int) -> torch.Tensor:
    """Masks (K, D, H, W) of the moving image on the target's grid."""
    import SimpleITK as sitk

    fixed, floating = _itk(target.image[0], target), _itk(moving.image[0], moving)
    start = sitk.CenteredTransformInitializer(
        fixed, floating, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = _method(0, fixed, seed)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, STEPS[0], relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start)
    affine = method.Execute(fixed, floating)

    mesh = [max(2, round(size / MESH_VOXELS)) for size in fixed.GetSize()]
    splines = sitk.BSplineTransformInitializer(fixed, mesh)
    method = _method(1, fixed, seed)
    method.SetOptimizerAsLBFGSB(1e-5, STEPS[1], maximumNumberOfFunctionEvaluations=LOOKS)
    method.SetMovingInitialTransform(affine)
    method.SetInitialTransform(splines)
    both = sitk.CompositeTransform([affine, method.Execute(fixed, floating)])
    moved = [sitk.Resample(_itk(mask, moving), fixed, both, sitk.sitkLinear, 0.0) for mask in masks]
    arrays = [sitk.GetArrayFromImage(one).transpose(2, 1, 0) for one in moved]
    return torch.from_numpy(np.stack(arrays))


def _method(stage: int, fixed, seed: int):
    import SimpleITK as sitk

    factors = [f for f in PYRAMIDS[stage] if f == 1 or min(fixed.GetSize()) >= f * SHORTEST]
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    shares = [share_compared(fixed.GetNumberOfPixels() / factor**3) for factor in factors]
    method.SetMetricSamplingPercentagePerLevel(shares, seed + 1)  # 0 would take the clock
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel(factors)
    method.SetSmoothingSigmasPerLevel([factor / 2 if factor > 1 else 0 for factor in factors])
    return method


def share_compared(voxels: float) -> float:
    """The share of so many voxels that is compared."""
    return min(1.0, max(SAMPLED, FEWEST / voxels), MOST / voxels)


def _itk(volume: torch.Tensor, prepared: Prepared):
    """A (D, H, W) volume as an ITK image whose axes are RAS+, in mm, centred on its own middle."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.numpy().transpose(2, 1, 0)))
    image.SetSpacing([float(size) for size in prepared.grid.spacing])
    sides = zip(prepared.grid.shape, prepared.grid.spacing, strict=True)
    image.SetOrigin([-(n - 1) / 2 * float(size) for n, size in sides])
    return image
