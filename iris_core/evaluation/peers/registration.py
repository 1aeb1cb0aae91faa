"""The peer that clinics know: register every labelled study to the query, carry its masks over, and vote.

Affine, then B-splines, both by mutual information, with SimpleITK on the prepared volumes that the network
sees, at its working voxel size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import SimpleITK

BINS = 32  # of the joint histogram
SAMPLED = 0.2  # share of a level's voxels that are compared, within the limits below
FEWEST, MOST = 10_000, 40_000  # voxels compared at a level of the pyramid, where it has them
SHORTEST = 12  # voxels per side that a coarser level keeps
MESH_VOXELS = 10  # working voxels between the control points of the B-splines, about
PYRAMIDS = ((4, 2, 1), (2, 1))  # how much coarser each pass is: affine, B-splines
STEPS = (200, 50)  # at most, per level of the pyramid
LOOKS = 100  # at the B-splines' metric, at most, per level: a line search takes several a step


def affine(fixed: SimpleITK.Image, floating: SimpleITK.Image, seed: int) -> SimpleITK.Transform:
    """The affine map of points of `fixed` to points of `floating`, both in mm; begins centre on centre.

    The seed is that of the voxels which are compared.
    """
    import SimpleITK as sitk

    start = sitk.CenteredTransformInitializer(
        fixed, floating, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method = _method(0, fixed, seed)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, STEPS[0], relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start)
    return method.Execute(fixed, floating)


def share_compared(voxels: float) -> float:
    """The share of so many voxels that is compared."""
    return min(1.0, max(SAMPLED, FEWEST / voxels), MOST / voxels)


def affine_and_splines(fixed: SimpleITK.Image, floating: SimpleITK.Image, seed: int) -> SimpleITK.Transform:
    """The map of points of a query to points of a reference, as `masks_by_field` wants it."""
    import SimpleITK as sitk

    start = affine(fixed, floating, seed)
    mesh = [max(2, round(size / MESH_VOXELS)) for size in fixed.GetSize()]
    splines = sitk.BSplineTransformInitializer(fixed, mesh)
    method = _method(1, fixed, seed)
    method.SetOptimizerAsLBFGSB(1e-5, STEPS[1], maximumNumberOfFunctionEvaluations=LOOKS)
    method.SetMovingInitialTransform(start)
    method.SetInitialTransform(splines)
    return sitk.CompositeTransform([start, method.Execute(fixed, floating)])


def _method(stage: int, fixed: SimpleITK.Image, seed: int) -> SimpleITK.ImageRegistrationMethod:
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
