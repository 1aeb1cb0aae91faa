"""CPU processes that share a training step: one clock, one gradient."""

from __future__ import annotations

import os

import torch
from torch import distributed, nn


class Team:
    """The processes that take every step together; a team of one waits for nobody."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size, self._parent = rank, size, os.getppid()

    def clock(self, elapsed: float) -> tuple[float, bool]:
        """The first process's elapsed seconds, and whether the command that started them is gone."""
        if self.size == 1:
            return elapsed, False
        orphan = os.getppid() != self._parent
        shared = torch.tensor([elapsed if self.rank == 0 else 0.0, float(orphan)], dtype=torch.float64)
        distributed.all_reduce(shared)
        return shared[0].item(), shared[1].item() > 0

    def share_gradients(self, model: nn.Module) -> None:
        """Replaces every gradient by its mean over the processes."""
        if self.size == 1:
            return
        parameters = [p for p in model.parameters() if p.requires_grad]
        flat = torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters]
        )
        distributed.all_reduce(flat)
        flat /= self.size
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter).clone()


ALONE = Team(0, 1)
