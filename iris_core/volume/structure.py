"""Structure: the voxels of one class in the smallest box that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from iris_core.triple import triple
from iris_core.volume.volume import LabelVolume

LARGEST = 65535  # value up to which SciPy lists boxes by value; others are renumbered first


@dataclass(frozen=True, eq=False)
class Stack:
    """The planes of a structure's box, one after the other along an axis."""

    mask: np.ndarray  # (N, H, W) bool; the first plane and the last show the structure
    start: int  # number of the first plane in the label

    @cached_property
    def areas(self) -> np.ndarray:
        """(N,): voxels of the structure in each plane."""
        return self.mask.sum(axis=(1, 2))

    @property
    def planes(self) -> np.ndarray:
        """The planes of the label that show the structure, ascending."""
        return self.start + np.flatnonzero(self.areas)

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The planes of the box on either side of each gap between runs of planes that show the structure."""
        shown = np.flatnonzero(self.areas)
        ends = np.flatnonzero(np.diff(shown) > 1)
        return list(zip(shown[ends].tolist(), shown[ends + 1].tolist(), strict=True))

    def shared(self, one: int, other: int) -> float:
        """Of the smaller of two planes' outlines, the share that the other one covers."""
        both = np.count_nonzero(self.mask[one] & self.mask[other])
        return float(both / min(self.areas[one], self.areas[other]))


@dataclass(frozen=True, eq=False)
class Structure:
    """One class of a label."""

    mask: np.ndarray  # (i, j, k) bool, the box; each of its sides shows the class
    start: tuple[int, int, int]  # of the box in the label, voxels

    def along(self, axis: int) -> Stack:
        """The planes perpendicular to an axis."""
        return Stack(np.moveaxis(self.mask, axis, 0), self.start[axis])


def run_lengths(planes: np.ndarray) -> np.ndarray:
    """How many of the planes, which are ascending, lie side by side in each run of them."""
    return np.diff(np.flatnonzero(np.concatenate([[True], np.diff(planes) > 1, [True]])))


def structures_of(label: LabelVolume) -> dict[int, Structure]:
    """Value -> structure, of each class that occurs in a label, ascending by value."""
    from scipy.ndimage import find_objects

    found = {}
    for layer in label.layers or (label.array,):
        values: Sequence[int] = range(LARGEST + 1)
        if layer.max(initial=0) > LARGEST:
            values = np.union1d(0, layer).tolist()
            layer = np.searchsorted(values, layer)
        for number, box in enumerate(find_objects(layer), start=1):
            if box is not None:
                start = triple(side.start for side in box)
                found[values[number]] = Structure(layer[box] == number, start)
    return dict(sorted(found.items()))
