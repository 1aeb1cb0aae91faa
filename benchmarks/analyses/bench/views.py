"""Fields of view: parts of a study, as another scan of the same person might show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.analyses.bench.studies import Box, Study

SIDES = ("first", "last")


def without_a_third(shape: Sequence[int], axis: int, side: str) -> Box:
    """The box that leaves the first or the last third of an axis out."""
    length = shape[axis]
    cut = slice(length // 3, length) if side == "first" else slice(0, length - length // 3)
    return _along(axis, cut, shape)


def three_quarters(shape: Sequence[int], axis: int, side: str) -> Box:
    """The box of the first or the last three quarters of an axis; the two lie a third of themselves apart."""
    length = shape[axis]
    size = round(0.75 * length)
    return _along(axis, slice(0, size) if side == "first" else slice(length - size, length), shape)


def box_without(label: np.ndarray, value: int, least: float) -> Box | None:
    """The largest box from wall to wall without a structure; None where less than `least` stays.

    Args:
        label: (I, J, K) label map.
        value: of the structure, which is there.
        least: share of the volume that must stay.
    """
    best, kept = None, least
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        hits = np.flatnonzero((label == value).any(axis=others))
        first, last, length = int(hits[0]), int(hits[-1]) + 1, label.shape[axis]
        for cut in (slice(0, first), slice(last, length)):
            share = (cut.stop - cut.start) / length
            if share >= kept:
                best, kept = _along(axis, cut, label.shape), share
    return best


def in_view(study: Study, box: Box) -> dict[str, float]:
    """Share of each class's voxels that a box shows."""
    found = {}
    for value in study.label.values:
        mask = study.label.array == value
        found[study.label.name_of(value)] = float(mask[box].sum() / mask.sum())
    return found


def _along(axis: int, cut: slice, shape: Sequence[int]) -> Box:
    sides = [slice(0, length) for length in shape]
    sides[axis] = cut
    return sides[0], sides[1], sides[2]
