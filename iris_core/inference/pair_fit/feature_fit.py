"""Fits a displacement field to one pair: a few steps of Adam on how well features agree there (extension).

docs/decisions/0022. The network's own field is the start. Agreement is that of the features at stride 4 and,
each step on another eighth of the cells, at stride 2. No class takes part, so all classes share one fit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.stages import FeatureFitSettings
from iris_core.model.correspondence import Places, sample
from iris_core.model.layers import upsample
from iris_core.model.reference_memory import ReferenceMemory

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam
# every corner of a 2^3 block once, far ones after each other
CORNERS = ((0, 0, 0), (1, 1, 1), (0, 1, 1), (1, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1))

Look = Callable[[Tensor, Tensor], Tensor]  # reference features, positions -> features there


def fitted_to_features(
    query: tuple[Tensor, Tensor], memory: ReferenceMemory, places: Places, settings: FeatureFitSettings
) -> Places:
    """Places that agree better in their features; the same where the stage is off.

    Args:
        query: matching features of the window at strides 4 and 2.
        memory: of the reference.
        places: as the network found them.
        settings: of the stage.
    """
    if not (settings.enabled and settings.fit_steps):
        return places
    whole = memory.features.shape[2:]

    def look(values: Tensor, at: Tensor) -> Tensor:
        return sample(values, at, memory.offset, whole)

    pairs = query, (memory.features, memory.fine)
    field = fit_field(*pairs, places.cells, places.position - places.own, look, settings)
    return places._replace(position=places.own + field.to(places.own.dtype))


def fit_field(
    query: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor], own: Tensor, field: Tensor, look: Look,
    settings: FeatureFitSettings,
) -> Tensor:  # fmt: skip
    """Moves a field so that features agree better, smoothly.

    Args:
        query: matching features at strides 4 and 2: (B, F, d, h, w) and (B, F/2, 2d, 2h, 2w).
        reference: the same of the reference, on a grid of its own.
        own: (B, 3, d, h, w), positions of the query's cells, in cells of 4 voxels.
        field: (B, 3, 2d, 2h, 2w), the displacement at stride 2, in cells of 4 voxels.
        look: looks reference features up at positions (B, 3, ...).
        settings: steps, rate and stiffness.

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
            return settings.fit_stiffness * bending(moved) - agreed

        change = descend(torch.zeros_like(start), loss, settings.fit_steps, settings.fit_rate)
        return (field + upsample(change, field.shape[2:])).detach()


def _agreement(query: Tensor, there: Tensor) -> Tensor:
    """Mean cosine; `query` holds unit vectors."""
    return (query * F.normalize(there + 1e-6, dim=1)).sum(1).mean()


def descend(start: Tensor, loss: Callable[[Tensor, int], Tensor], steps: int, rate: float) -> Tensor:
    """Where the steps lead, without a gradient. Gradients must be enabled.

    Args:
        start: where they begin; it stays as it is.
        loss: of a tensor like it and the number of the step, from 0.
        steps: to take.
        rate: of Adam.
    """
    value = start.detach()
    mean, square = torch.zeros_like(value), torch.zeros_like(value)
    for step in range(steps):
        value.requires_grad_(True)
        (slope,) = torch.autograd.grad(loss(value, step), value)
        mean = BETAS[0] * mean + (1 - BETAS[0]) * slope
        square = BETAS[1] * square + (1 - BETAS[1]) * slope**2
        pace = rate * (1 - BETAS[1] ** (step + 1)) ** 0.5 / (1 - BETAS[0] ** (step + 1))
        value = value.detach() - pace * mean / (square.sqrt() + EPSILON)
    return value


def bending(field: Tensor) -> Tensor:
    """Mean squared step between neighbouring cells of a field (B, 3, d, h, w), summed over the axes."""
    return sum(((field.diff(dim=axis) ** 2).mean() for axis in (2, 3, 4)), field.new_zeros(()))
