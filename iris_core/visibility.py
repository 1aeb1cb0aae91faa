"""Which structures a query's field of view leaves out, told by where it lies relative to the references'.

A network that is asked for a structure which is not there finds a few voxels that look like it, mostly at
the border of the view. Once the fields of view are aligned, the reference's own mask says how much of a
structure can be seen (docs/decisions/0026).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from iris_core.embedding import TaskEmbedding
from iris_core.model.reference_memory import MASK_STRIDE, ReferenceMemory

NOT_IN_VIEW = 0.02  # of a structure in view, below which it is not there (ours)
HARDLY_IN_VIEW = 0.3  # of a structure in view, below which what is found must be worth keeping (ours)
WORTH_VOLUME, WORTH_DICE = 0.2, 0.5  # of the reference's volume; to expect: either is enough (ours)
SURELY_THERE = 0.7  # expected Dice that keeps even what should not be in view (ours)
NOT_THERE = -6.0  # logit at most, of a structure that is left out


def without_the_unseen(logits: Tensor, visible: Tensor, volumes: Tensor, expected: Sequence[float]) -> Tensor:
    """Empties classes that the query's field of view leaves out, in place.

    Args:
        logits: (K, D, H, W) of a whole query on its working grid.
        visible: (K,), from `visible_shares`.
        volumes: (K,) voxels, of the classes in the references.
        expected: the Dice to expect of each class.
    """
    told = zip(logits, visible.tolist(), volumes.tolist(), expected, strict=True)
    for one, share, volume, dice in told:
        if share < HARDLY_IN_VIEW and not _worth_keeping(one, share, volume, dice):
            one.clamp_(max=NOT_THERE)
    return logits


def visible_shares(embedding: TaskEmbedding, shape: Sequence[int], matched: Sequence[bool]) -> Tensor:
    """How much of each class lies in a query's field of view, as its references lie there: (K,) in [0, 1].

    Args:
        embedding: of K classes with memories, aligned with the query.
        shape: of the query, voxels.
        matched: for each memory whether its field of view matches.
    """
    shares = torch.stack([_visible(memory, shape) for memory in embedding.memories], dim=1)  # (K, N)
    shares[:, [not one for one in matched]] = 1.0
    weights = torch.ones_like(shares) if embedding.weights is None else embedding.weights.to(shares)
    return (shares * weights).sum(1) / weights.sum(1).clamp_min(1e-6)


def _visible(memory: ReferenceMemory, shape: Sequence[int]) -> Tensor:
    masks = memory.masks[0]
    whole = masks.flatten(1).sum(1)
    for axis, length in enumerate(shape):
        cells = masks.shape[1 + axis]
        index = torch.arange(cells, device=masks.device) - (cells - 1) / 2
        inside = (index * MASK_STRIDE + memory.offset[0, axis]).abs() <= length / 2
        masks = masks.index_select(1 + axis, inside.nonzero()[:, 0])
    seen = masks.flatten(1).sum(1) / whole.clamp_min(1e-6)
    return torch.where(whole > 0, seen, 1.0)  # a mask that rounds to nothing says nothing


def _worth_keeping(logits: Tensor, share: float, volume: float, expected: float) -> bool:
    if share < NOT_IN_VIEW:
        return expected >= SURELY_THERE
    return int((logits > 0).sum()) >= WORTH_VOLUME * volume or expected >= WORTH_DICE
