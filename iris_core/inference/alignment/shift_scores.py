"""How well two fields of view agree at every shift at once, by Fourier transforms (docs/decisions/0020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

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
    sizes = [a + b - 1 for a, b in zip(query.shape[1:], reference.shape[1:], strict=True)]

    def spectrum(maps: Tensor) -> Tensor:
        return torch.fft.rfftn(maps, s=sizes, dim=(1, 2, 3))

    there = spectrum(inside).conj()
    total = torch.fft.irfftn((spectrum(reference * weight) * spectrum(query * inside).conj()).sum(0), s=sizes)
    count = torch.fft.irfftn((spectrum(weight) * there)[0], s=sizes)
    # entry t: query cell x lies on reference cell x + t; measured from the centres, in voxels
    moves = []
    for length, a, b in zip(sizes, query.shape[1:], reference.shape[1:], strict=True):
        index = torch.arange(length, device=total.device)
        index = torch.where(index < b, index, index - length)
        moves.append((index + (a - b) / 2) * FEATURE_STRIDE)
    grid = torch.stack(torch.meshgrid(*moves, indexing="ij"), dim=-1).flatten(0, 2)
    return ShiftScores(sizes, grid, (total / count.clamp_min(1e-3)).flatten(), count.flatten())


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
