"""Where a query's field of view lies relative to a reference's: one shift, found by comparing features.

Stage 2. Input: the query's features and a reference's memory. Output: one shift, a first guess for stage 3.
Cost: a few Fourier transforms for each reference.

A task's sense of place is measured from the centre of the field of view. A query that is cropped or centred
elsewhere would mislead it, so the shift with the best mean cosine of features is looked for first. All shifts
on the grid of cells are scored at once by Fourier transforms (docs/decisions/0020). What surrounds the
structures may have moved otherwise than they have, so the shift that suits them alone is looked for next
(docs/decisions/0025).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.place.shifts import ShiftScores, between, shift_scores, unit
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.inference.stages import AlignmentSettings
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory
from iris_core.task.embedding import TaskEmbedding
from iris_core.windows.query_features import QueryFeatures


class Shift(NamedTuple):
    """Where a query lies in a reference.

    Attributes:
        voxels: (3,), what to add to the offsets of the query's windows.
        matched: the views show the same anatomy there.
        warp: the fields `warp`, `warp_cell` and `warp_offset` of a memory that is placed so.
    """

    voxels: Tensor
    matched: bool
    warp: Mapping[str, Tensor] = MappingProxyType({})

    def mirrored(self) -> Shift:
        """The same between mirrored views."""
        warp = dict(self.warp)
        if warp:
            warp |= {"warp": -warp["warp"].flip(2, 3, 4), "warp_offset": -warp["warp_offset"]}
        return Shift(-self.voxels, self.matched, warp)


def align(
    features: QueryFeatures, embedding: TaskEmbedding, settings: InferenceSettings
) -> tuple[Shift, ...]:
    """For each memory of a task the shift that brings the query's places to its own."""
    if not settings.alignment.enabled or features.coarse is None:
        return (Shift(embedding.tokens.new_zeros(3), False),) * len(embedding.memories)
    told, stage = (features.coarse, features.offset), settings.alignment
    return tuple(likely_shift(*told, memory, features.shown, stage) for memory in embedding.memories)


def placed(embedding: TaskEmbedding, shifts: Sequence[Shift]) -> TaskEmbedding:
    """The task with each memory moved to where the query has the same places."""
    pairs = zip(embedding.memories, shifts, strict=True)
    return replace(embedding, memories=tuple(moved(memory, shift) for memory, shift in pairs))


def moved(memory: ReferenceMemory, shift: Shift) -> ReferenceMemory:
    """A memory after a shift."""
    return replace(memory, offset=memory.offset - shift.voxels[None], **shift.warp)


def likely_shift(
    features: Tensor,
    offset: Tensor,
    memory: ReferenceMemory,
    inside: Tensor | None = None,
    stage: AlignmentSettings = DEFAULTS.alignment,
) -> Shift:
    """The shift that brings a query's places to the reference's.

    Args:
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        memory: of the reference, batch of 1.
        inside: (1, d, h, w) in [0, 1], how much of each cell is image and not padding; None: all of it.
        stage: its settings.

    Returns:
        None where no shift is clearly better, but for what the structures gain beside it.
    """
    inside = torch.ones_like(features[:1]) if inside is None else inside
    ones = torch.ones_like(memory.features[0, :1])
    query, reference = unit(features, inside), unit(memory.features[0], ones)
    whole = shift_scores(query, reference, ones, inside)
    field = _where(whole, stage.least_overlap * min(float(inside.sum()), reference[0].numel()))
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
        return Shift(nothing if best == still else moves[best], bool(field[best] >= stage.matched_cosine))
    allowed = torch.where(field >= field[best] - stage.worst_field, own, -torch.inf)
    better = int(allowed.argmax())
    if own[better] >= own[best] + _clearly(seen.weight[better], query, stage):
        best = better
    beside = (moves - moves[best]).abs().amax(-1) < stage.beside_cells * FEATURE_STRIDE
    peak = int(torch.where(beside, own, -torch.inf).argmax())

    voxels = moves[peak] + FEATURE_STRIDE * between(own, peak, seen.sizes)
    return Shift(voxels, bool(field[best] >= stage.matched_cosine))


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
