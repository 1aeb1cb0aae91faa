"""Outlines between drawn planes: signed distances, interpolated from plane to plane.

Shape-based interpolation after Raya and Udupa (1990). Where a structure moves from one plane to the next, its
outlines are first brought onto each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NOWHERE = -np.inf  # signed distance where a structure cannot be


class Shapes(NamedTuple):
    """A structure in all planes."""

    inside: np.ndarray  # (N, H, W) float32, distance from the outline, mm, positive inside; else NOWHERE
    away: np.ndarray  # (N,) planes to the nearest one that was drawn on and shows the structure
    sources: list[tuple[int, ...]]  # for each plane the drawn ones, at most two, that its outline comes from


def plane_shapes(mask: np.ndarray, drawn: np.ndarray, sizes: Sequence[float]) -> Shapes:
    """The outline of a structure in every plane, from those in the drawn planes.

    Between two drawn planes that show it, outlines are interpolated. Towards a drawn plane that does not show
    it, the outline shrinks to nothing. Past a single drawn plane it shrinks like a ball.

    Args:
        mask: (N, H, W) bool, the structure; planes that were not drawn on do not count.
        drawn: (N,) bool, which planes were drawn on.
        sizes: of a voxel, mm, along N, H and W.
    """
    planes, shown = np.flatnonzero(drawn), np.flatnonzero(drawn & mask.any(axis=(1, 2)))
    inside = np.full(mask.shape, NOWHERE, np.float32)
    away = np.zeros(len(mask), int)
    sources: list[tuple[int, ...]] = [()] * len(mask)
    own = {k: _signed_distance(mask[k], sizes[1:]) for k in shown.tolist()}
    for k in range(len(mask)):
        below, above = planes[planes <= k], planes[planes >= k]
        ends = [int(side) for side in (*below[-1:], *above[:1])]
        near = tuple(dict.fromkeys(end for end in ends if end in own))
        if not near:
            continue
        away[k] = min(abs(k - end) for end in near)
        if k in own:
            inside[k] = own[k]
        elif len(near) == 2:
            share = (k - near[0]) / (near[1] - near[0])
            inside[k] = _between(own[near[0]], own[near[1]], share)
        else:
            empty = [abs(end - near[0]) for end in ends if end not in own]
            lost = _lost(away[k], empty, mask[near[0]], sizes)
            if lost >= 1:
                continue
            inside[k] = own[near[0]] - lost * own[near[0]].max()
        sources[k] = near
    return Shapes(inside, away, sources)


def _signed_distance(mask: np.ndarray, sizes: Sequence[float]) -> np.ndarray:
    """Distance of each pixel from the outline, mm, positive inside; `sizes` are those of a pixel, mm."""
    from scipy.ndimage import distance_transform_edt

    inner = distance_transform_edt(np.pad(mask, 1), sampling=sizes)[1:-1, 1:-1]
    outer = distance_transform_edt(~mask, sampling=sizes)
    return (inner - outer).astype(np.float32)


def _between(near: np.ndarray, far: np.ndarray, share: float) -> np.ndarray:
    """The distances from an outline that lies `share` of the way from one outline to another."""
    from scipy.ndimage import center_of_mass, shift

    first, second = near > 0, far > 0
    start, end = (np.array(center_of_mass(mask)) for mask in (first, second))
    moved = shift(second.astype(np.float32), start - end, order=1) > 0.5
    if _overlap(first, moved) > _overlap(first, second):
        middle = (1 - share) * start + share * end
        near, far = (
            shift(one, middle - centre, order=1, mode="nearest")
            for one, centre in ((near, start), (far, end))
        )
    return (1 - share) * near + share * far


def _overlap(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / max(1, int(one.sum() + other.sum()))


def _lost(away: int, empty: Sequence[int], mask: np.ndarray, sizes: Sequence[float]) -> float:
    """Which share of its inner distance an outline has lost, so many planes away from where it was drawn.

    `empty` holds the distance of the drawn plane that does not show the structure, if there is one.
    """
    if empty:
        return away / empty[0]
    radius = np.sqrt(mask.sum() * sizes[1] * sizes[2] / np.pi)
    return 1 - float(np.sqrt(max(0.0, 1 - (away * sizes[0] / radius) ** 2)))
