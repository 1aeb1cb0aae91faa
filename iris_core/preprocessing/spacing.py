"""The working voxel size: the paper's, the user's, or one that suits the reference.

"auto" goes by three things: the reference's field of view, the size of its voxels, and how thin its labelled
structures are. The working grid should be small enough for few windows, and fine enough
that a structure is some voxels thick.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from scipy import ndimage

from iris_core.config import PAPER_SPACING
from iris_core.errors import InputError
from iris_core.preprocessing.grid import Spacing, nonzero_box
from iris_core.triple import triple
from iris_core.volume.boxes import Box
from iris_core.volume.structure import structures_of
from iris_core.volume.volume import LabelVolume, Volume, canonical_spacing

SHORT_SIDE, LONG_SIDE = 64, 112  # voxels wanted along the longest side of the working grid
LIMIT_SIDE = 256  # voxels along the longest side that thin structures may bring about
THICKNESS = 3.0  # working voxels that a structure should be thick
MOST_ANISOTROPIC = 2.0  # the coarsest working axis over the finest
KEEP_NATIVE = 1.25  # a size within this factor of the axis's own voxels gives way to them
THICK_PERCENTILE = 90.0  # of the distances to the surface inside a structure


def choose_spacing(
    reference: Volume,
    label: LabelVolume | None,
    policy: str | float | Sequence[float],
    box: Box | None = None,
) -> Spacing:
    """Chooses the working voxel size along the RAS+ axes.

    "auto" works in four steps.
    1. Start at the median of the reference's voxel sizes. Where the longest side of its nonzero box would
       then have more than 112 voxels, coarsen to 112; where fewer than 64, refine to 64.
    2. Where the thinnest labelled structure would be under 3 voxels thick, refine to 3, but not beyond 256
       voxels along the longest side.
    3. Never finer than the reference's finest voxel side.
    4. An axis whose own voxels are coarser keeps them, up to about twice the size so found. A size within a
       quarter of the file's own gives way to it.

    Args:
        reference: the reference image, native order.
        label: its segmentation in the same grid; None: structures do not count.
        policy: "auto", "paper" (1.5 mm), one size in mm, or three along the RAS+ axes.
        box: the field of view that counts, where it is not the nonzero box.

    Returns:
        Three sizes in mm.

    Raises:
        InputError: another word, or a size that is not positive.
    """
    if policy == "paper":
        return PAPER_SPACING
    if policy != "auto":
        return _explicit(policy)
    native = np.array(canonical_spacing(reference.affine))
    field = np.array(box or nonzero_box(reference))
    longest = float(((field[:, 1] - field[:, 0]) * native).max())
    wanted = float(np.clip(np.median(native), longest / LONG_SIDE, longest / SHORT_SIDE))
    if label is not None and label.values:
        wanted = min(wanted, max(thinnest_mm(label) / THICKNESS, longest / LIMIT_SIDE))
    wanted = max(wanted, float(native.min()))
    wanted = float(_near(wanted, native[np.argmin(np.abs(np.log(native / wanted)))]))
    sizes = _near(np.clip(native, wanted, MOST_ANISOTROPIC * wanted), native)
    return triple(float(f"{size:.6g}") for size in sizes)


def _near(size: np.ndarray | float, native: np.ndarray | float) -> np.ndarray:
    """The native size where it is near the wanted one, so that nothing is blurred for nothing."""
    return np.where((native / KEEP_NATIVE <= size) & (size <= native * KEEP_NATIVE), native, size)


def thinnest_mm(label: LabelVolume) -> float:
    """Thickness of the thinnest structure of a label in mm.

    A structure's thickness is twice the 90th percentile of the distance to its surface: that of a slab is
    nearly its own, that of a ball about half its diameter.
    """
    spacing = np.array(label.spacing)
    thickness = []
    for structure in structures_of(label).values():
        inside = np.pad(structure.mask, 1)
        distance = ndimage.distance_transform_edt(inside, sampling=spacing)[inside]
        # distances end at the centre of the first voxel outside, half a voxel beyond the surface
        thickness.append(2 * np.percentile(distance, THICK_PERCENTILE) - spacing.min())
    return float(min(thickness))


def _explicit(policy: str | float | Sequence[float]) -> Spacing:
    sizes: Sequence[float] = ()
    if not isinstance(policy, str):
        sizes = [float(policy)] * 3 if isinstance(policy, float | Real) else policy
    if len(sizes) != 3 or not all(np.isfinite(size) and size > 0 for size in sizes):
        raise InputError("unusable spacing", expected="auto, paper, or a size in mm above 0", found=policy)
    return triple(float(size) for size in sizes)
