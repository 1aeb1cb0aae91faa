"""Runs of two or three drawn planes with wider gaps between them, and drawn planes along several axes."""

from __future__ import annotations

import numpy as np

from iris_core.volume.unknown.structure import Structure

MOST_RUN = 3  # planes side by side that a person draws before leaving some out (ours)
LEAST_RUNS = 3  # of the same length at the same distance, where no one says that the label is sparse (ours)
SAME_PLACE = 0.3  # of the smaller of two outlines that the other covers, in one structure (ours)
STANDS_OUT = 3.0  # times the median area of its axis that a drawn plane shows, crossed by other planes (ours)
IN_PLANES = 0.98  # of the voxels that lie in such planes (ours)
LEAST_LINE = 8  # voxels that a drawn plane measures (ours)

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]  # along each axis, their indices, ascending


def in_blocks(planes: np.ndarray, mask: np.ndarray, *, asked: bool) -> bool:
    """Whether a class was drawn in short runs of planes, clearly shorter than the gaps between them.

    A stack of discs looks alike, so the pattern must be exact. Where a person says that the label is sparse,
    runs of one or two planes may be irregular.

    Args:
        planes: that show the class, ascending.
        mask: (N, H, W) bool, the axis of the planes first.
        asked: as in `find_gaps`.
    """
    ends = np.flatnonzero(np.diff(planes) > 1)
    gaps, runs = np.diff(planes)[ends] - 1, np.diff([-1, *ends, len(planes) - 1])
    if not len(gaps):
        return False
    size, gap = np.median(runs), np.median(gaps)
    if size > MOST_RUN or gap <= size:
        return False
    short = runs[1:] if runs[0] > MOST_RUN else runs[:-1] if runs[-1] > MOST_RUN else runs
    if not (asked and short.max() < MOST_RUN) and not _regular(short, gaps, asked):
        return False
    shares = [_shared(mask[planes[end]], mask[planes[end + 1]]) for end in ends]
    return len(shares) >= (1 if asked else 2) and float(np.median(shares)) >= SAME_PLACE


def crossing_planes(one: Structure) -> Planes | None:
    """The planes along each axis in which a class was drawn; None unless they cross and hold all of it."""
    own = (_standing_out(one.mask, 0), _standing_out(one.mask, 1), _standing_out(one.mask, 2))
    if sum(len(planes) > 0 for planes in own) < 2:
        return None
    held = one.mask & in_planes(one.mask.shape, own)
    if held.sum() < IN_PLANES * one.mask.sum():
        return None
    return own[0] + one.start[0], own[1] + one.start[1], own[2] + one.start[2]


def in_planes(shape: tuple[int, ...], planes: Planes) -> np.ndarray:
    """(I, J, K) bool: the voxels of planes along each axis."""
    held = np.zeros(shape, bool)
    for axis, own in enumerate(planes):
        np.moveaxis(held, axis, 0)[own] = True
    return held


def _standing_out(mask: np.ndarray, axis: int) -> np.ndarray:
    areas = mask.sum(axis=tuple(a for a in range(3) if a != axis))
    shown = areas[areas > 0]
    if len(shown) < LEAST_LINE:
        return np.zeros(0, int)
    planes = np.flatnonzero(areas > STANDS_OUT * np.median(shown))
    return planes if not (np.diff(planes) == 1).any() else np.zeros(0, int)


def _regular(runs: np.ndarray, gaps: np.ndarray, asked: bool) -> bool:
    """Whether all runs and gaps are alike, but for runs that the structure's ends cut."""
    least = LEAST_RUNS + (not asked and np.median(runs) == MOST_RUN)
    if len(runs) < least or len(set(gaps.tolist())) > 1:
        return False
    return len(set(runs[1:-1].tolist())) == 1 and bool(runs.max() == runs[1])


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / min(one.sum(), other.sum()))
