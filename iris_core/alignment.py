"""Where a query's field of view lies relative to a reference's: one shift, found by comparing features.

A task's sense of place is measured from the centre of the field of view. A query that is cropped or centred
elsewhere would mislead it, so the shift with the best mean cosine of features is looked for first. All shifts
on the grid of cells are scored at once by Fourier transforms (docs/decisions/0020). What surrounds the
structures may have moved otherwise than they have, so the shift that suits them alone is looked for next
(docs/decisions/0025).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.embedding import TaskEmbedding
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory

LEAST_OVERLAP = 0.4  # of the smaller field of view that a shift leaves (ours)
MARGIN = 0.02  # of mean cosine by which a shift must beat another (ours)
CHANCE = (
    4.0  # times 1 / sqrt(numbers compared), what the best of many shifts of unrelated maps may reach (ours)
)
RIM = 1  # cells around the structures that count with them (ours)
LEAST_SEEN = 0.3  # of the structures and their rim that a shift of theirs leaves in view (ours)
MATCHED = 0.35  # mean cosine of the whole field above which two views show the same anatomy (ours)
BESIDE = 1.5  # cells along an axis, in which the structures choose freely (ours)
WORST_FIELD = 0.15  # of mean cosine that the whole field may lose by it (ours)


class Shift(NamedTuple):
    """What to add to the offsets of the query's windows, voxels (3,); whether the views match there."""

    voxels: Tensor
    matched: bool


def aligned(
    embedding: TaskEmbedding, features: Tensor, offset: Tensor, inside: Tensor
) -> tuple[TaskEmbedding, tuple[bool, ...]]:
    """The embedding with every memory moved to where the query has the same places.

    Args:
        embedding: of K classes.
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        inside: (1, d, h, w) in [0, 1], how much of each cell is image and not padding.

    Returns:
        The embedding, and for each memory whether its field of view matches the query's.
    """
    shifts = [field_shift(features, offset, memory, inside) for memory in embedding.memories]
    memories = tuple(
        replace(memory, offset=memory.offset - shift.voxels[None])
        for memory, shift in zip(embedding.memories, shifts, strict=True)
    )
    return replace(embedding, memories=memories), tuple(shift.matched for shift in shifts)


def field_shift(
    features: Tensor, offset: Tensor, memory: ReferenceMemory, inside: Tensor | None = None
) -> Shift:
    """The shift that brings a query's places to the reference's.

    Args:
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        memory: of the reference, batch of 1.
        inside: (1, d, h, w) in [0, 1], how much of each cell is image and not padding; None: all of it.

    Returns:
        Where no shift is clearly better than none: none, but for what the structures gain beside it.
    """
    inside = torch.ones_like(features[:1]) if inside is None else inside
    ones = torch.ones_like(memory.features[0, :1])
    query, reference = _unit(features, inside), _unit(memory.features[0], ones)
    whole = _scores(query, reference, ones, inside)
    least = LEAST_OVERLAP * min(float(inside.sum()), reference[0].numel())
    field = torch.where(whole.weight >= least, whole.mean, -torch.inf)
    moves = whole.moves + memory.offset[0] - offset
    still = int(moves.norm(dim=-1).argmin())
    best = int(field.argmax())
    if field[best] < field[still] + _clearly(whole.weight[best], query):
        best = still

    rim = _rim(memory)
    seen = _scores(query, reference, rim, inside)
    own = torch.where(seen.weight >= (LEAST_SEEN * rim.sum()).clamp_min(0.5), seen.mean, -torch.inf)
    if not own[best].isfinite():
        nothing = torch.zeros_like(offset)
        return Shift(nothing if best == still else moves[best], bool(field[best] >= MATCHED))
    allowed = torch.where(field >= field[best] - WORST_FIELD, own, -torch.inf)
    better = int(allowed.argmax())
    if own[better] >= own[best] + _clearly(seen.weight[better], query):
        best = better
    beside = (moves - moves[best]).abs().amax(-1) < BESIDE * FEATURE_STRIDE
    peak = int(torch.where(beside, own, -torch.inf).argmax())
    voxels = moves[peak] + FEATURE_STRIDE * _between(own, peak, seen.sizes)
    return Shift(voxels, bool(field[best] >= MATCHED))


def _clearly(cells: Tensor, query: Tensor) -> Tensor:
    """By how much a mean cosine over so many cells must be better than another."""
    return MARGIN + CHANCE * (cells * query.shape[0]) ** -0.5


@dataclass(frozen=True)
class _Scores:
    """Every shift on the grid of cells. Args: moves (S, 3) voxels; mean cosine (S,); weight compared (S,)."""

    sizes: list[int]
    moves: Tensor
    mean: Tensor
    weight: Tensor


def _scores(query: Tensor, reference: Tensor, weight: Tensor, inside: Tensor) -> _Scores:
    """Args: unit vectors (F, ...) on two grids; weights (1, ...) of the reference's and the query's cells."""
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
    return _Scores(sizes, grid, (total / count.clamp_min(1e-3)).flatten(), count.flatten())


def _between(scores: Tensor, peak: int, sizes: list[int]) -> Tensor:
    """Where the top of a parabola through a peak and its neighbours lies: (3,) cells, within half a cell.

    Args:
        scores: (S,) of the shifts, which lie cyclically on a grid.
        peak: index of the best.
        sizes: of the grid.
    """
    grid = scores.unflatten(0, sizes)
    where = [int(i) for i in torch.unravel_index(torch.tensor(peak), sizes)]
    top = scores.new_zeros(3)
    for axis, place in enumerate(where):
        line = grid.movedim(axis, 0)[(slice(None), *(w for a, w in enumerate(where) if a != axis))]
        before, here, after = (line[(place + step) % sizes[axis]] for step in (-1, 0, 1))
        bend = before - 2 * here + after
        if bend.isfinite() and bend < 0:
            top[axis] = (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
    return top


def _rim(memory: ReferenceMemory) -> Tensor:
    """(1, d, h, w): how much each cell belongs to any labelled structure or its rim, in [0, 1]."""
    cells = memory.landmarks[0]
    for _ in range(RIM):
        cells = F.avg_pool3d(F.max_pool3d(cells, 3, 1, 1), 3, 1, 1, count_include_pad=False)
    return cells


def _unit(features: Tensor, inside: Tensor) -> Tensor:
    """Unit vectors after the mean over what is inside is taken away."""
    mean = (features * inside).sum((1, 2, 3), keepdim=True) / inside.sum()
    return F.normalize(features - mean, dim=0)
