"""Grey levels or label values? In an image values change step by step; label values meet in any order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

NEARBY = 2  # ranks by which neighbours of an image mostly differ, where they do
MOSTLY_NEARBY = 0.55  # of the neighbours with different values that are so near in an image (ours)
SLOPING = 0.1  # of the neighbours that differ, neither being 0, in an image however smooth (ours)
ALL_IN_ORDER = 0.6  # of all neighbours with different values, 0 included, that are one rank apart (ours)
PIECES = 3  # of the median value, from which on it is a level of grey that occurs in many places (ours)
COUNTED = 8  # values whose pieces are counted
LARGEST_SIDE = 192  # voxels of the part of an array that is tested


def neighbours(array: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each of the first three axes views of all voxels but the last, and of all but the first."""
    for axis in range(3):
        before = (slice(None),) * axis
        yield array[(*before, slice(None, -1))], array[(*before, slice(1, None))]


def rise_step_by_step(array: np.ndarray) -> bool:
    """Whether whole numbers (I, J, K, ...) of many different values are the grey levels of a smooth image.

    Values are counted by rank, so that levels may be 0, 4, 8. Neighbours that differ do so by a rank or two,
    and they differ often, although the levels are even enough for structures. Structures that are numbered
    along a chain, as vertebrae or the parts of a tract are, border on the background with every value, and
    each lies in one piece.
    """
    part = _middle(array)
    values, ranks = np.unique(part, return_inverse=True)
    ranks = ranks.reshape(part.shape).astype(np.int32)
    sloping, nearby, in_order = _steps(ranks, empty=0 if values[0] == 0 else -1)
    if sloping < SLOPING or nearby < MOSTLY_NEARBY:
        return False
    return in_order >= ALL_IN_ORDER or _pieces(ranks, len(values)) >= PIECES


def _middle(array: np.ndarray) -> np.ndarray:
    """The middle of what an array shows, not more than `LARGEST_SIDE` voxels along each axis."""
    sides = []
    for axis in range(3):
        shown = np.flatnonzero(array.any(axis=tuple(a for a in range(array.ndim) if a != axis)))
        middle = int(shown[len(shown) // 2]) if len(shown) else 0
        sides.append(slice(max(0, middle - LARGEST_SIDE // 2), middle + LARGEST_SIDE // 2))
    return array[tuple(sides)]


def _steps(ranks: np.ndarray, empty: int) -> tuple[float, float, float]:
    """How ranks (I, J, K, ...) change from neighbour to neighbour; `empty` is the rank of the background.

    Of the pairs outside the background the share that differs; of these the share that differs by a rank or
    two; of all pairs that differ the share that is one rank apart.
    """
    differ = in_order = shown = inside = nearby = 0
    for first, second in neighbours(ranks):
        step = np.abs(first - second)
        both = (first != empty) & (second != empty)
        differ += int(np.count_nonzero(step))
        in_order += int(np.count_nonzero(step == 1))
        shown += int(np.count_nonzero(both))
        inside += int(np.count_nonzero(both & (step > 0)))
        nearby += int(np.count_nonzero(both & (step > 0) & (step <= NEARBY)))
    return inside / max(shown, 1), nearby / max(inside, 1), in_order / max(differ, 1)


def _pieces(ranks: np.ndarray, count: int) -> float:
    """In how many pieces a value lies, the median of a few values."""
    from scipy.ndimage import label

    flat = ranks.reshape(*ranks.shape[:3], -1)[..., 0]
    some = np.unique(np.linspace(1, count - 1, COUNTED).round().astype(int))
    return float(np.median([label(flat == rank, np.ones((3, 3, 3)))[1] for rank in some]))
