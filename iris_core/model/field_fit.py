"""Fits a displacement field to one pair: a few steps of Adam on how well features agree there (extension).

docs/decisions/0022. The network's own field is the start. Agreement is that of the features at stride 4 and,
each step on another eighth of the cells, at stride 2. No class takes part, so all classes share one fit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.descent import bending, descend
from iris_core.model.layers import upsample

RATE = 0.08  # of Adam, cells of 4 voxels a step (ours)
STIFFNESS = 0.25  # of the squared step between neighbouring cells (ours)
# every corner of a 2^3 block once, far ones after each other
CORNERS = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1))

Look = Callable[[Tensor, Tensor], Tensor]  # reference features, positions -> features there


def fit_field(
    query: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], own: Tensor, field: Tensor, look: Look,
    steps: int,
) -> Tensor:  # fmt: skip
    """Moves a field so that features agree better, smoothly.

    Args:
        query: matching features at strides 4 and 2: (B, F, d, h, w) and (B, F/2, 2d, 2h, 2w).
        reference: the same of the reference, on a grid of its own.
        own: (B, 3, d, h, w), positions of the query's cells, in cells of 4 voxels.
        field: (B, 3, 2d, 2h, 2w), the displacement at stride 2, in cells of 4 voxels.
        look: looks reference features up at positions (B, 3, ...).
        steps: of Adam.

    Returns:
        the field, (B, 3, 2d, 2h, 2w), without a gradient.
    """
    with torch.autocast(field.device.type, enabled=False), torch.enable_grad():
        field, own = field.detach().float(), own.detach().float()
        coarse, fine = (F.normalize(maps.detach().float(), dim=1) for maps in query)
        there = tuple(maps.detach().float() for maps in reference)
        start, wide = F.avg_pool3d(field, 2), upsample(own, field.shape[2:])

        def loss(change: Tensor, step: int) -> Tensor:
            i, j, k = CORNERS[step % len(CORNERS)]
            corner = (..., slice(i, None, 2), slice(j, None, 2), slice(k, None, 2))
            at = wide[corner] + field[corner] + upsample(change, field.shape[2:])[corner]
            moved = start + change
            agreed = _agreement(coarse, look(there[0], own + moved))
            agreed = agreed + _agreement(fine[corner], look(there[1], at))
            return STIFFNESS * bending(moved) - agreed

        change = descend(torch.zeros_like(start), loss, steps, RATE)
        return (field + upsample(change, field.shape[2:])).detach()


def _agreement(query: Tensor, there: Tensor) -> Tensor:
    """Mean cosine; `query` holds unit vectors."""
    return (query * F.normalize(there + 1e-6, dim=1)).sum(1).mean()
