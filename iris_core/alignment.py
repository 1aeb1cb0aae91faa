"""Where a query's field of view lies relative to a reference's: one shift, found by comparing features.

A task's sense of place is measured from the centre of the field of view. A query that is cropped or centred
elsewhere would mislead it, so the shift with the best mean cosine of features is looked for first. All shifts
on the grid of cells are scored at once by Fourier transforms (docs/decisions/0020). What surrounds the
structures may have moved otherwise than they have, so the shift that suits them alone is looked for next
(docs/decisions/0025). Where other places suit nearly as well, each is tried (docs/decisions/0028).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.embedding import TaskEmbedding
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory
from iris_core.shift_scores import ShiftScores, between, shift_scores, unit

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
RIVALS, APART = 3, 2.5  # other places that are tried, at most; cells along an axis between them (ours)
RIVAL_OVERLAP = 0.25  # as LEAST_OVERLAP, for them (ours)
NEARLY = 0.3  # of both mean cosines together, by which a rival may be worse at first sight (ours)
CLEARLY_BETTER = 0.035  # of agreement after all, by which it must win (ours)

Agreement = Callable[[ReferenceMemory], float]


class Shift(NamedTuple):
    """What to add to the offsets of the query's windows, voxels (3,); whether the views match there."""

    voxels: Tensor
    matched: bool


def aligned(
    embedding: TaskEmbedding,
    features: Tensor,
    offset: Tensor,
    inside: Tensor,
    agreement: Agreement | None = None,
) -> tuple[TaskEmbedding, tuple[bool, ...]]:
    """The embedding with every memory moved to where the query has the same places.

    Args:
        embedding: of K classes.
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        inside: (1, d, h, w) in [0, 1], how much of each cell is image and not padding.
        agreement: how well a memory agrees with the query where it lies, after all; None: rivals of the
            first place are not tried.

    Returns:
        The embedding, and for each memory whether its field of view matches the query's.
    """
    moved, matched = [], []
    for memory in embedding.memories:
        shifts = likely_shifts(features, offset, memory, inside)
        tried = [replace(memory, offset=memory.offset - shift.voxels[None]) for shift in shifts]
        best = 0
        if agreement is not None and len(tried) > 1:
            found = [agreement(one) for one in tried]
            winner = max(range(len(tried)), key=found.__getitem__)
            best = winner if found[winner] > found[0] + CLEARLY_BETTER else 0
        moved.append(tried[best])
        matched.append(shifts[best].matched)
    return replace(embedding, memories=tuple(moved)), tuple(matched)


def likely_shifts(
    features: Tensor, offset: Tensor, memory: ReferenceMemory, inside: Tensor | None = None
) -> tuple[Shift, ...]:
    """The shifts that bring a query's places to the reference's, the likeliest first.

    Args:
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        memory: of the reference, batch of 1.
        inside: (1, d, h, w) in [0, 1], how much of each cell is image and not padding; None: all of it.

    Returns:
        At least one. Where no shift is clearly better than none, the first is none, but for what the
        structures gain beside it.
    """
    inside = torch.ones_like(features[:1]) if inside is None else inside
    ones = torch.ones_like(memory.features[0, :1])
    query, reference = unit(features, inside), unit(memory.features[0], ones)
    whole = shift_scores(query, reference, ones, inside)
    smaller = min(float(inside.sum()), reference[0].numel())
    field = _where(whole, LEAST_OVERLAP * smaller)
    moves = whole.moves + memory.offset[0] - offset
    still = int(moves.norm(dim=-1).argmin())
    best = int(field.argmax())
    if not field[best] >= field[still] + _clearly(whole.weight[best], query):  # nor where nothing overlaps
        best = still

    rim = _rim(memory)
    seen = shift_scores(query, reference, rim, inside)
    own = _where(seen, float((LEAST_SEEN * rim.sum()).clamp_min(0.5)))
    if not own[best].isfinite():
        nothing = torch.zeros_like(offset)
        return (Shift(nothing if best == still else moves[best], bool(field[best] >= MATCHED)),)
    allowed = torch.where(field >= field[best] - WORST_FIELD, own, -torch.inf)
    better = int(allowed.argmax())
    if own[better] >= own[best] + _clearly(seen.weight[better], query):
        best = better
    beside = (moves - moves[best]).abs().amax(-1) < BESIDE * FEATURE_STRIDE
    peak = int(torch.where(beside, own, -torch.inf).argmax())

    def shift(place: int, matched: Tensor) -> Shift:
        return Shift(moves[place] + FEATURE_STRIDE * between(own, place, seen.sizes), bool(matched))

    wide = _where(whole, RIVAL_OVERLAP * smaller)
    others = _rivals(own + wide, moves, peak)
    return shift(peak, field[best] >= MATCHED), *(shift(one, wide[one] >= MATCHED) for one in others)


def _rivals(scores: Tensor, moves: Tensor, first: int) -> list[int]:
    """Shifts that are nearly as good as the first, the best of them first, none near another."""
    if not scores[first].isfinite():
        return []
    left, found = torch.where(scores >= scores[first] - NEARLY, scores, -torch.inf), [first]
    while len(found) <= RIVALS:
        left[(moves - moves[found[-1]]).abs().amax(-1) < APART * FEATURE_STRIDE] = -torch.inf
        best = int(left.argmax())
        if not left[best].isfinite():
            break
        found.append(best)
    return found[1:]


def _where(scores: ShiftScores, least: float) -> Tensor:
    """(S,) mean cosines; minus infinity where less than `least` was compared."""
    return torch.where(scores.weight >= least, scores.mean, -torch.inf)


def _clearly(cells: Tensor, query: Tensor) -> Tensor:
    """By how much a mean cosine over so many cells must be better than another."""
    return MARGIN + CHANCE * (cells * query.shape[0]) ** -0.5


def _rim(memory: ReferenceMemory) -> Tensor:
    """(1, d, h, w): how much each cell belongs to any labelled structure or its rim, in [0, 1]."""
    cells = memory.landmarks[0]
    for _ in range(RIM):
        cells = F.avg_pool3d(F.max_pool3d(cells, 3, 1, 1), 3, 1, 1, count_include_pad=False)
    return cells
