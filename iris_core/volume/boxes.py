"""Boxes of a volume, and the one finder of the box around what is marked in it."""

from __future__ import annotations

from math import prod

import numpy as np

from iris_core.triple import triple

#: per axis the first index and the one after the last
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def box_around(marked: np.ndarray) -> Box | None:
    """The smallest box with every voxel of (I, J, K) that is not 0; None where all are 0."""
    hits = [np.flatnonzero(marked.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    if not hits[0].size:
        return None
    return triple((int(one[0]), int(one[-1]) + 1) for one in hits)


def voxels_in(box: Box) -> int:
    """The number of voxels of a box."""
    return prod(last - first for first, last in box)


def slices_of(box: Box) -> tuple[slice, slice, slice]:
    """A box as slices of an array."""
    return triple(slice(first, last) for first, last in box)
