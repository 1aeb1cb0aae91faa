"""Learning rate by step: a linear warm-up, then a named decay. Paper: supplement 7 (exponential decay)."""

from __future__ import annotations

import torch

from nnunet_trainers.training.settings import TrainerSettings

POWER = 0.9  # of the polynomial decay, as nnU-Net's


def rate_at(step: int, settings: TrainerSettings) -> float:
    """Learning rate of a step, counted from 0 over the whole training."""
    total = settings.epochs * settings.steps
    warm = round(settings.warmup * total)
    if step < warm:
        return settings.rate * (step + 1) / warm
    progress = min(1.0, (step - warm) / max(1, total - warm))
    if settings.schedule == "exponential":
        return settings.rate * settings.floor**progress
    if settings.schedule == "polynomial":
        return settings.rate * max(settings.floor, (1 - progress) ** POWER)
    return settings.rate


class StepSchedule:
    """What nnU-Net takes for a scheduler: `step(epoch)` at the start of an epoch; `at(step)` is ours.

    Args:
        optimiser: whose rate is set.
        settings: of the training.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, settings: TrainerSettings) -> None:
        self.optimiser, self.settings = optimiser, settings

    def step(self, epoch: int) -> None:
        """Sets the rate of an epoch's first step."""
        self.at(epoch * self.settings.steps)

    def at(self, step: int) -> None:
        """Sets the rate of a step, counted over the whole training."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate_at(step, self.settings)
