"""Which of several likely places is right: the one whose features agree best once the displacement is fitted.

Stage 3, docs/decisions/0028. Input: the query's features and the likely shifts of each reference. Output: one
shift a reference. Cost: a fit for every place that is tried, in queries of up to `most_cells`. Before the fit
one stretch of a spine looks like the next; after it the right one agrees better, on the labelled structures
and around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.alignment.align import Shift, moved
from iris_core.inference.alignment.query_features import QueryFeatures
from iris_core.inference.pair_fit.feature_fit import fitted_to_features
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.model.correspondence import Correspondence
from iris_core.model.iris import Iris
from iris_core.model.layers import box_mean
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE, ReferenceMemory
from iris_core.task.embedding import TaskEmbedding


def settle_rivals(
    model: Iris,
    features: QueryFeatures,
    embedding: TaskEmbedding,
    candidates: Sequence[Sequence[Shift]],
    settings: InferenceSettings,
) -> tuple[Shift, ...]:
    """Of each memory's likely shifts the right one: the first, unless another agrees clearly better."""
    chosen = []
    for memory, shifts in zip(embedding.memories, candidates, strict=True):
        best = 0
        if len(features.levels) == 2 and len(shifts) > 1:
            coarse, fine = features.levels
            scores = [
                place_score(
                    model.correspondence, coarse, fine, features.offset, moved(memory, shift), settings
                )
                for shift in shifts
            ]
            winner = max(range(len(scores)), key=scores.__getitem__)
            best = winner if scores[winner] > scores[0] + settings.rivals.clearly_better else 0
        chosen.append(shifts[best])
    return tuple(chosen)


def place_score(
    correspondence: Correspondence,
    coarse: Tensor,
    fine: Tensor,
    offset: Tensor,
    memory: ReferenceMemory,
    settings: InferenceSettings = DEFAULTS,
) -> float:
    """How well a memory agrees with a query where it lies: the mean cosine on its structures and around them.

    Args:
        correspondence: of the network.
        coarse: (1, F, d, h, w), matching features of the query at stride 4.
        fine: (1, F/2, 2d, 2h, 2w), at stride 2.
        offset: (3,) voxels, centre of those grids minus the centre of the query's field of view.
        memory: at the place to judge; all that its label shows counts.
        settings: of the fit and of this stage.
    """
    shown = F.interpolate(memory.landmarks, scale_factor=FEATURE_STRIDE // MASK_STRIDE)
    memory = replace(memory, masks=shown)
    places = correspondence.find(coarse, fine, offset[None], memory)
    places = fitted_to_features((coarse, fine), memory, places, settings.feature_fit)
    match = correspondence.read(fine, memory, places)
    near = box_mean(match.warped[:, :1], settings.rivals.blur_side)
    return float((near * match.agreement).sum() / near.sum().clamp_min(1))
