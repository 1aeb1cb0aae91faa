"""A class that was drawn in planes along several axes, which cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from iris_core.volume.structure import Structure

STANDS_OUT = 3.0  # times the median area of its axis that a drawn plane shows, crossed by other planes (ours)
IN_PLANES = 0.98  # of the voxels that lie in such planes (ours)
LEAST_LINE = 8  # voxels that a drawn plane measures (ours)


@dataclass(frozen=True, eq=False)
class CrossingPlanes:
    """Planes along several axes."""

    planes: tuple[np.ndarray, ...]  # along each axis their numbers in the label, ascending
    kind: ClassVar[str] = "cross"

    def held(self, shape: Sequence[int]) -> np.ndarray:
        """(I, J, K) bool: the voxels of a label that lie in the planes."""
        held = np.zeros(tuple(shape), bool)
        for axis, own in enumerate(self.planes):
            np.moveaxis(held, axis, 0)[own] = True
        return held


def crossing_planes(one: Structure) -> CrossingPlanes | None:
    """The planes along each axis in which a class was drawn; None unless they cross and hold all of it."""
    own = tuple(_standing_out(one, axis) for axis in range(3))
    if sum(len(planes) > 0 for planes in own) < 2:
        return None
    held = one.mask & CrossingPlanes(own).held(one.mask.shape)
    if held.sum() < IN_PLANES * one.mask.sum():
        return None
    return CrossingPlanes(tuple(planes + start for planes, start in zip(own, one.start, strict=True)))


def _standing_out(one: Structure, axis: int) -> np.ndarray:
    """The planes of a class's box that show far more of it than most; none where they lie side by side."""
    areas = one.along(axis).areas
    shown = areas[areas > 0]
    if len(shown) < LEAST_LINE:
        return np.zeros(0, int)
    planes = np.flatnonzero(areas > STANDS_OUT * np.median(shown))
    return planes if not (np.diff(planes) == 1).any() else np.zeros(0, int)
