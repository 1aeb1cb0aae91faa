"""Which structures a query's field of view leaves out, told by where it lies relative to the references'.

A network that is asked for a structure which is not there finds a few voxels that look like it, mostly at
the border of the view. Once the fields of view are aligned, the reference's own mask says how much of a
structure can be seen (docs/decisions/0026).

Stage 8. Input: the result of a whole query, and which share of each class its view shows. Output: the same
result, some classes emptied. Cost: next to none.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from iris_core.inference.passes import PassResult
from iris_core.inference.place.align import Shift
from iris_core.inference.stages import FieldOfViewSettings
from iris_core.model.reference_memory import MASK_STRIDE, ReferenceMemory
from iris_core.task.embedding import TaskEmbedding


def empty_the_unseen(found: PassResult, volumes: Tensor, settings: FieldOfViewSettings) -> None:
    """Empties classes that the query's field of view leaves out, in place.

    Args:
        found: in a whole query.
        volumes: (K,) voxels, of the classes in the references.
        settings: of the stage.
    """
    if not settings.enabled:
        return
    expected = found.expected([1] * len(found.logits))
    told = zip(found.logits, found.visible.tolist(), volumes.tolist(), expected, strict=True)
    for one, share, volume, dice in told:
        if share < settings.hardly_in_view and not _worth_keeping(one, share, volume, dice, settings):
            one.clamp_(max=settings.absent_logit)


def visible_shares(embedding: TaskEmbedding, shape: Sequence[int], shifts: Sequence[Shift]) -> Tensor:
    """How much of each class lies in a query's field of view, as its references lie there: (K,) in [0, 1].

    Args:
        embedding: of K classes with memories, aligned with the query.
        shape: of the query, voxels.
        shifts: by which each memory was moved; one that does not match hides nothing.
    """
    if not embedding.memories:
        return torch.ones(len(embedding.names))
    shares = torch.stack([_visible(memory, shape) for memory in embedding.memories], dim=1)  # (K, N)
    shares[:, [not shift.matched for shift in shifts]] = 1.0
    weights = torch.ones_like(shares) if embedding.weights is None else embedding.weights.to(shares)
    return ((shares * weights).sum(1) / weights.sum(1).clamp_min(1e-6)).cpu()


def _visible(memory: ReferenceMemory, shape: Sequence[int]) -> Tensor:
    masks = memory.masks[0]
    whole = masks.flatten(1).sum(1)
    for axis, length in enumerate(shape):
        cells = masks.shape[1 + axis]
        index = torch.arange(cells, device=masks.device) - (cells - 1) / 2
        inside = (index * MASK_STRIDE + memory.offset[0, axis]).abs() <= length / 2
        masks = masks.index_select(1 + axis, inside.nonzero()[:, 0])
    seen = masks.flatten(1).sum(1) / whole.clamp_min(1e-6)
    return torch.where(whole > 0, seen, 1.0)  # an empty coarse mask tells nothing: fully visible


def _worth_keeping(
    logits: Tensor, share: float, volume: float, expected: float, settings: FieldOfViewSettings
) -> bool:
    if share < settings.not_in_view:
        return expected >= settings.surely_there
    return int((logits > 0).sum()) >= settings.worth_volume * volume or expected >= settings.worth_dice
