"""A few steps of Adam on one tensor, outside of any training; both fits of a displacement go by it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BETAS, EPSILON = (0.9, 0.999), 1e-8


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
    """Mean squared step between neighbouring cells, summed over the axes.

    Args:
        field: (B, 3, d, h, w).
    """
    return sum(((field.diff(dim=axis) ** 2).mean() for axis in (2, 3, 4)), field.new_zeros(()))
