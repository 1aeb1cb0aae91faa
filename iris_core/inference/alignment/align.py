"""Where a query's field of view lies relative to a reference's: one shift, found by comparing features.

Stage 2. Input: the query's features and a reference's memory. Output: likely shifts, the likeliest first.
Cost: a few Fourier transforms for each reference.

A task's sense of place is measured from the centre of the field of view. A query that is cropped or centred
elsewhere would mislead it, so the shift with the best mean cosine of features is looked for first. All shifts
on the grid of cells are scored at once by Fourier transforms (docs/decisions/0020). What surrounds the
structures may have moved otherwise than they have, so the shift that suits them alone is looked for next
(docs/decisions/0025). Where other places suit nearly as well, each is tried (docs/decisions/0028).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.alignment.query_features import QueryFeatures
from iris_core.inference.alignment.shift_scores import ShiftScores, between, shift_scores, unit
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.inference.stages import AlignmentSettings, RivalSettings
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory
from iris_core.task.embedding import TaskEmbedding


class Shift(NamedTuple):
    """What to add to the offsets of the query's windows, voxels (3,); whether the views match there."""

    voxels: Tensor
    matched: bool


def align(
    features: QueryFeatures, embedding: TaskEmbedding, settings: InferenceSettings
) -> tuple[tuple[Shift, ...], ...]:
    """For each memory of a task the shifts that bring the query's places to its own, the likeliest first."""
    if not settings.alignment.enabled or not features.levels:
        return ((Shift(embedding.tokens.new_zeros(3), False),),) * len(embedding.memories)
    told = features.levels[0][0], features.offset
    shifts = [likely_shifts(*told, memory, features.shown, settings) for memory in embedding.memories]
    return tuple(shifts if settings.rivals.enabled else [one[:1] for one in shifts])


def placed(embedding: TaskEmbedding, shifts: Sequence[Shift]) -> TaskEmbedding:
    """The task with each memory moved to where the query has the same places."""
    pairs = zip(embedding.memories, shifts, strict=True)
    return replace(embedding, memories=tuple(moved(memory, shift) for memory, shift in pairs))


def moved(memory: ReferenceMemory, shift: Shift) -> ReferenceMemory:
    """A memory after a shift."""
    return replace(memory, offset=memory.offset - shift.voxels[None])


def likely_shifts(
    features: Tensor,
    offset: Tensor,
    memory: ReferenceMemory,
    inside: Tensor | None = None,
    settings: InferenceSettings = DEFAULTS,
) -> tuple[Shift, ...]:
    """The shifts that bring a query's places to the reference's, the likeliest first.

    Args:
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        memory: of the reference, batch of 1.
        inside: (1, d, h, w) in [0, 1], how much of each cell is image and not padding; None: all of it.
        settings: of the stages.

    Returns:
        At least one. Where no shift is clearly better than none, the first is none, but for what the
        structures gain beside it.
    """
    stage = settings.alignment
    inside = torch.ones_like(features[:1]) if inside is None else inside
    ones = torch.ones_like(memory.features[0, :1])
    query, reference = unit(features, inside), unit(memory.features[0], ones)
    whole = shift_scores(query, reference, ones, inside)
    smaller = min(float(inside.sum()), reference[0].numel())
    field = _where(whole, stage.least_overlap * smaller)
    moves = whole.moves + memory.offset[0] - offset
    still = int(moves.norm(dim=-1).argmin())
    best = int(field.argmax())
    if not field[best] >= field[still] + _clearly(whole.weight[best], query, stage):
        best = still  # nor where nothing overlaps

    rim = _rim(memory, stage.rim_cells)
    seen = shift_scores(query, reference, rim, inside)
    own = _where(seen, float((stage.least_seen * rim.sum()).clamp_min(0.5)))
    if not own[best].isfinite():
        nothing = torch.zeros_like(offset)
        return (Shift(nothing if best == still else moves[best], bool(field[best] >= stage.matched_cosine)),)
    allowed = torch.where(field >= field[best] - stage.worst_field, own, -torch.inf)
    better = int(allowed.argmax())
    if own[better] >= own[best] + _clearly(seen.weight[better], query, stage):
        best = better
    beside = (moves - moves[best]).abs().amax(-1) < stage.beside_cells * FEATURE_STRIDE
    peak = int(torch.where(beside, own, -torch.inf).argmax())

    def shift(place: int, matched: Tensor) -> Shift:
        return Shift(moves[place] + FEATURE_STRIDE * between(own, place, seen.sizes), bool(matched))

    wide = _where(whole, settings.rivals.rival_overlap * smaller)
    others = _rivals(own + wide, moves, peak, settings.rivals)
    first = shift(peak, field[best] >= stage.matched_cosine)
    return first, *(shift(one, wide[one] >= stage.matched_cosine) for one in others)


def _rivals(scores: Tensor, moves: Tensor, first: int, stage: RivalSettings) -> list[int]:
    """Shifts that are nearly as good as the first, the best of them first, none near another."""
    if not scores[first].isfinite():
        return []
    left, found = torch.where(scores >= scores[first] - stage.nearly_as_good, scores, -torch.inf), [first]
    while len(found) <= stage.most_rivals:
        left[(moves - moves[found[-1]]).abs().amax(-1) < stage.cells_apart * FEATURE_STRIDE] = -torch.inf
        best = int(left.argmax())
        if not left[best].isfinite():
            break
        found.append(best)
    return found[1:]


def _where(scores: ShiftScores, least: float) -> Tensor:
    """(S,) mean cosines; minus infinity where less than `least` was compared."""
    return torch.where(scores.weight >= least, scores.mean, -torch.inf)


def _clearly(cells: Tensor, query: Tensor, stage: AlignmentSettings) -> Tensor:
    """By how much a mean cosine over so many cells must be better than another."""
    return stage.shift_margin + stage.chance_factor * (cells * query.shape[0]) ** -0.5


def _rim(memory: ReferenceMemory, wide: int) -> Tensor:
    """(1, d, h, w): how much each cell belongs to any labelled structure or its rim, in [0, 1]."""
    cells = memory.landmarks[0]
    for _ in range(wide):
        cells = F.avg_pool3d(F.max_pool3d(cells, 3, 1, 1), 3, 1, 1, count_include_pad=False)
    return cells
