"""Gaps with straight cuts: one structure, of which runs of planes of any length were drawn.

A body of its own (a disc, a vertebra, a tooth) ends by getting smaller, or by a border that is no plane of
the image. A structure of which some planes were left out is cut off at full size, and goes on after the gap
where it would have arrived.
"""

from __future__ import annotations

import numpy as np

CONTINUED = 0.6  # of the smaller of two outlines, on either side of a gap, that the other covers (ours)
FULL = 0.75  # of an outline that is still there in the last plane before a gap (ours)
DIP = 0.25  # of the area that may be lost in the middle of a gap, as the outlines beside it foretell (ours)
MOSTLY = 0.8  # of the gaps that must be cuts (ours)
LEAST_GAPS = 2  # where no one says that the label is sparse (ours)
ONE_GAP = 0.85  # in the place of CONTINUED and FULL where there is a single gap (ours)
LEAST_AREA = 9  # voxels of an outline whose size says anything (ours)
WIDE = 0.4  # of the largest outline, below which a structure may be coming to its end (ours)


def is_cut(planes: np.ndarray, mask: np.ndarray, *, asked: bool) -> bool:
    """Whether a class is one structure with planes left out, in whatever pattern.

    Outlines that never change inside any run may be boxes of their own, so they are no proof.

    Args:
        planes: that show the class, ascending.
        mask: (N, H, W) bool, the axis of the planes first.
        asked: as in `find_gaps`.
    """
    before = np.flatnonzero(np.diff(planes) > 1)
    if not len(before) or not _changes(planes, mask):
        return False
    gaps = [(int(planes[end]), int(planes[end + 1])) for end in before]
    areas = mask.sum(axis=(1, 2))
    least = max(LEAST_AREA, WIDE * int(areas.max()))
    gaps = [(a, b) for a, b in gaps if min(areas[a], areas[b]) >= least]
    if not gaps:
        return False
    if len(before) == 1 and not asked:
        (a, b), run = gaps[0], min(before[0] + 1, len(planes) - before[0] - 1)
        return b - a - 1 < run and _continues(mask, a, b, ONE_GAP, ONE_GAP)
    cuts = sum(_continues(mask, a, b, CONTINUED, FULL) for a, b in gaps)
    return cuts >= (1 if asked else LEAST_GAPS) and cuts >= MOSTLY * len(gaps)


def _changes(planes: np.ndarray, mask: np.ndarray) -> bool:
    """Whether the outlines differ inside runs of planes."""
    pairs = [int(plane) for plane, step in zip(planes, np.diff(planes), strict=False) if step == 1]
    changed = sum(not np.array_equal(mask[plane], mask[plane + 1]) for plane in pairs)
    return bool(pairs) and changed >= len(pairs) / 2


def _continues(mask: np.ndarray, first: int, second: int, continued: float, full: float) -> bool:
    """Whether one structure goes on over the gap between two planes, by shares of their areas."""
    one, other = mask[first], mask[second]
    areas = int(one.sum()), int(other.sum())
    if (one & other).sum() < continued * min(areas):
        return False
    lost = 0.0
    for plane, inner in ((first, first - 1), (second, second + 1)):
        if not 0 <= inner < len(mask) or not mask[inner].any():
            continue  # a single plane tells no size to come
        last, own = int(mask[inner].sum()), int(mask[plane].sum())
        if (mask[inner] & mask[plane]).sum() < full * last:
            return False
        lost += (last - own) * (second - first) / 2
    return lost <= DIP * sum(areas)
