"""How well two grids agree at every shift at once, by Fourier transforms (docs/decisions/0020).

`shift_scores` compares features by their cosine, `all_shifts` descriptors by their difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.stages import PlaceSearchSettings
from iris_core.model.reference_memory import FEATURE_STRIDE


@dataclass(frozen=True)
class ShiftScores:
    """Every shift on the grid of cells.

    Args:
        sizes: of that grid, whose product is S; shifts lie cyclically on it.
        moves: (S, 3) voxels, what to add to the query's places.
        mean: (S,) cosine of the features that then lie on each other, in [-1, 1].
        weight: (S,) cells that do, weighted.
    """

    sizes: list[int]
    moves: Tensor
    mean: Tensor
    weight: Tensor


def shift_scores(query: Tensor, reference: Tensor, weight: Tensor, inside: Tensor) -> ShiftScores:
    """Compares two grids of features at all shifts.

    Args:
        query: unit vectors (F, d, h, w).
        reference: unit vectors (F, d', h', w').
        weight: (1, d', h', w'), how much each of the reference's cells counts.
        inside: (1, d, h, w), the same of the query's.

    Returns:
        A score for each of the (d + d' - 1) (h + h' - 1) (w + w' - 1) shifts.
    """
    grid, sizes, together = _shifts(query, reference)
    total, count = together(query * inside, reference * weight), together(inside, weight)
    return ShiftScores(sizes, grid * FEATURE_STRIDE, total / count.clamp_min(1e-3), count)


def between(scores: Tensor, peak: int, sizes: list[int]) -> Tensor:
    """Where the top of a parabola through a peak and its neighbours lies: (3,) cells, within half a cell.

    Args:
        scores: (S,) of the shifts, which lie cyclically on a grid.
        peak: index of the best.
        sizes: of the grid.
    """
    grid = scores.unflatten(0, sizes)
    where = [int(i) for i in np.unravel_index(peak, sizes)]  # torch's own imports sympy
    top = scores.new_zeros(3)
    for axis, place in enumerate(where):
        line = grid.movedim(axis, 0)[(slice(None), *(w for a, w in enumerate(where) if a != axis))]
        before, here, after = (line[(place + step) % sizes[axis]] for step in (-1, 0, 1))
        bend = before - 2 * here + after
        if bend.isfinite() and bend < 0:
            top[axis] = (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
    return top


def unit(features: Tensor, inside: Tensor) -> Tensor:
    """Unit vectors (F, d, h, w) of features whose mean over what is inside, (1, d, h, w), is taken away."""
    mean = (features * inside).sum((1, 2, 3), keepdim=True) / inside.sum()
    return F.normalize(features - mean, dim=0)


@dataclass(frozen=True)
class FieldShifts:
    """Every shift of a query on a reference, in cells.

    Args:
        moves: (S, 3), from places in the query to places in the reference, both from their centres.
        explained: (S,), by how much the difference per cell is below that of cells taken at random.
        cells: (S,) that lie on each other.
        unlike: difference per cell of cells taken at random.
    """

    moves: Tensor
    explained: Tensor
    cells: Tensor
    unlike: float


def all_shifts(query: Tensor, reference: Tensor) -> FieldShifts:
    """Compares fields (F, d, h, w) and (F, d', h', w') at all (d + d' - 1)(h + h' - 1)(w + w' - 1) shifts."""
    grid, _, together = _shifts(query, reference)
    here, there = torch.ones_like(query[:1]), torch.ones_like(reference[:1])
    squares = together(here, reference.square().sum(0, keepdim=True))
    squares = squares + together(query.square().sum(0, keepdim=True), there)
    cells = together(here, there).clamp_min(0.5)
    usual = unlike(query, reference)
    return FieldShifts(grid, usual - (squares - 2 * together(query, reference)) / cells, cells, usual)


def unlike(query: Tensor, reference: Tensor) -> float:
    """Mean squared difference of a cell of one field and a cell of the other, taken at random."""
    one, other = query.flatten(1), reference.flatten(1)
    squares = one.square().sum(0).mean() + other.square().sum(0).mean()
    return float(squares - 2 * (one.mean(1) * other.mean(1)).sum())


def likely_places(shifts: FieldShifts, smaller: int, settings: PlaceSearchSettings) -> list[Tensor]:
    """Moves (3,) in cells, the likeliest first, none near another.

    Args:
        shifts: all.
        smaller: cells of the smaller field.
        settings: of the stage.
    """
    scores = shifts.explained * shifts.cells.sqrt()
    scores = torch.where(shifts.cells >= settings.least_overlap * smaller, scores, -torch.inf)
    found: list[Tensor] = []
    least = settings.nearly_as_good * float(scores.max())
    while len(found) < settings.most_places:
        best = int(scores.argmax())
        if not scores[best] >= max(least, 0.0):
            break
        found.append(shifts.moves[best])
        scores[(shifts.moves - shifts.moves[best]).abs().amax(-1) < settings.cells_apart] = -torch.inf
    return found


def _shifts(query: Tensor, reference: Tensor) -> tuple[Tensor, list[int], Callable[[Tensor, Tensor], Tensor]]:
    """All shifts of one grid (F, d, h, w) on another.

    Returns:
        moves (S, 3) in cells, from the centres; the sizes of their cyclic grid; and what adds up the products
        of two maps on these grids at each shift, (S,).
    """
    sizes = [a + b - 1 for a, b in zip(query.shape[1:], reference.shape[1:], strict=True)]

    def together(one: Tensor, other: Tensor) -> Tensor:
        near, far = (torch.fft.rfftn(maps, s=sizes, dim=(1, 2, 3)) for maps in (one, other))
        return torch.fft.irfftn((far * near.conj()).sum(0), s=sizes).flatten()

    moves = []  # entry t: query cell x lies on reference cell x + t
    for length, a, b in zip(sizes, query.shape[1:], reference.shape[1:], strict=True):
        index = torch.arange(length, device=query.device)
        moves.append(torch.where(index < b, index, index - length) + (a - b) / 2)
    return torch.stack(torch.meshgrid(*moves, indexing="ij"), dim=-1).flatten(0, 2), sizes, together
