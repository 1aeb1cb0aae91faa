"""One structure of which runs of planes were drawn, with planes left out between them.

A body of its own (a disc, a vertebra, a tooth) ends by getting smaller, or by a border that is no plane of
the image. A structure of which some planes were left out is cut off at full size, and goes on after the gap
where it would have arrived. Short runs whose outline never changes may be boxes of their own; they count
where runs and gaps repeat exactly.
"""

from __future__ import annotations

import numpy as np

from iris_core.volume.structure import Stack, run_lengths

CONTINUED = 0.6  # of the smaller of two outlines, on either side of a gap, that the other covers (ours)
FULL = 0.75  # of an outline that is still there in the last plane before a gap (ours)
DIP = 0.25  # of the area that may be lost in the middle of a gap, as the outlines beside it foretell (ours)
MOSTLY = 0.8  # of the gaps that must be cuts (ours)
LEAST_GAPS = 2  # where no one says that the label is sparse (ours)
ONE_GAP = 0.85  # in the place of CONTINUED and FULL where there is a single gap (ours)
LEAST_AREA = 9  # voxels of an outline whose size counts (ours)
WIDE = 0.4  # of the largest outline, below which a structure may be coming to its end (ours)
MOST_RUN = 3  # planes side by side that a person draws before leaving some out (ours)
LEAST_RUNS = 3  # of the same length at the same distance, where no one says that the label is sparse (ours)
SAME_PLACE = 0.3  # of the smaller of two outlines that the other covers, in one structure (ours)


def is_cut(stack: Stack, *, declared: bool) -> bool:
    """Whether a class is one structure with planes left out, in whatever pattern.

    Outlines that never change inside any run may be boxes of their own, so they are no proof. Where a person
    says that the label is sparse (`declared`), one gap that is cut is enough.
    """
    if not stack.gaps or not _changes(stack):
        return False
    least = max(LEAST_AREA, WIDE * int(stack.areas.max()))
    gaps = [(a, b) for a, b in stack.gaps if min(stack.areas[a], stack.areas[b]) >= least]
    if not gaps:
        return False
    if len(stack.gaps) == 1 and not declared:
        ((a, b),) = gaps
        return b - a - 1 < run_lengths(stack.planes).min() and _continues(stack, a, b, ONE_GAP, ONE_GAP)
    cuts = sum(_continues(stack, a, b, CONTINUED, FULL) for a, b in gaps)
    return cuts >= (1 if declared else LEAST_GAPS) and cuts >= MOSTLY * len(gaps)


def in_blocks(stack: Stack, *, declared: bool) -> bool:
    """Whether a class was drawn in short runs of planes, clearly shorter than the gaps between them.

    A stack of discs looks alike, so the pattern must be exact. Where a person says that the label is sparse
    (`declared`), runs of one or two planes may be irregular.
    """
    if not stack.gaps:
        return False
    runs, gaps = run_lengths(stack.planes), np.array([second - first - 1 for first, second in stack.gaps])
    size = np.median(runs)
    if size > MOST_RUN or np.median(gaps) <= size:
        return False
    short = runs[1:] if runs[0] > MOST_RUN else runs[:-1] if runs[-1] > MOST_RUN else runs
    if not (declared and short.max() < MOST_RUN) and not _regular(short, gaps, declared):
        return False
    shares = [stack.shared(*gap) for gap in stack.gaps]
    return len(shares) >= (1 if declared else 2) and float(np.median(shares)) >= SAME_PLACE


def _changes(stack: Stack) -> bool:
    """Whether the outlines differ inside runs of planes."""
    shown = stack.areas > 0
    pairs = np.flatnonzero(shown[:-1] & shown[1:])
    changed = sum(not np.array_equal(stack.mask[plane], stack.mask[plane + 1]) for plane in pairs)
    return len(pairs) > 0 and changed >= len(pairs) / 2


def _continues(stack: Stack, first: int, second: int, continued: float, full: float) -> bool:
    """Whether one structure goes on over the gap between two planes, by shares of their areas."""
    if stack.shared(first, second) < continued:
        return False
    lost = 0.0
    for plane, inner in ((first, first - 1), (second, second + 1)):
        if not 0 <= inner < len(stack.mask) or not stack.areas[inner]:
            continue  # a single plane does not show how its size goes on
        last = int(stack.areas[inner])
        if (stack.mask[inner] & stack.mask[plane]).sum() < full * last:
            return False
        lost += (last - int(stack.areas[plane])) * (second - first) / 2
    return lost <= DIP * int(stack.areas[first] + stack.areas[second])


def _regular(runs: np.ndarray, gaps: np.ndarray, declared: bool) -> bool:
    """Whether all runs and gaps are alike, but for runs that the structure's ends cut."""
    least = LEAST_RUNS + (not declared and np.median(runs) == MOST_RUN)
    if len(runs) < least or len(set(gaps.tolist())) > 1:
        return False
    return len(set(runs[1:-1].tolist())) == 1 and bool(runs.max() == runs[1])
