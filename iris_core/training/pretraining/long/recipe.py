"""What every step of the long run does, as a function of its number alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iris_core.training.pretraining.settings import Shape

COLDEST = 0.02  # of the peak rate, at the end


class Window(NamedTuple):
    """A kind of step.

    Attributes:
        shape: of the windows, voxels.
        share: of the steps.
        pairs: of people; each gives two episodes, one in either direction.
    """

    shape: Shape
    share: float
    pairs: int


# So that steps of every window cost about the same.
WINDOWS = (
    Window((32, 32, 32), 0.4, 3),
    Window((48, 48, 32), 0.1, 2),
    Window((48, 32, 48), 0.1, 2),
    Window((32, 48, 48), 0.1, 2),
    Window((48, 48, 48), 0.2, 2),
    Window((64, 64, 64), 0.1, 1),
)


@dataclass(frozen=True)
class Recipe:
    """The decisions of docs/decisions/0090 and 0091.

    Args:
        windows: kinds of steps.
        classes: fewest and most tasks of a pair.
        without_memory: share of the steps in which the tokens answer alone.
        deep: weight of the loss of the class vectors against the maps at strides 8, 4 and 2.
        contrast: weight of the loss that brings both people's embeddings of one structure together.
        nuisance: weight of what a linear probe finds of the volume in the embeddings.
        rate: peak learning rate of AdamW.
        decay: its weight decay.
        warmup: steps to the peak, from the start and from every start without moments.
        ramp: steps until the tasks are at full difficulty.
        steps: of the whole run.
        cooling: share of the steps, at the end, in which the rate falls to almost nothing.
        ema: decay of the averaged weights, which are measured and kept.
        seed: of the tasks.
    """

    windows: tuple[Window, ...] = WINDOWS
    classes: tuple[int, int] = (8, 16)
    without_memory: float = 0.6
    deep: float = 0.3
    contrast: float = 0.5
    nuisance: float = 0.3
    rate: float = 1e-3
    decay: float = 1e-2
    warmup: int = 100
    ramp: int = 0
    steps: int = 64_000
    cooling: float = 0.2
    ema: float = 0.998
    seed: int = 0

    def rate_at(self, step: int, warm_from: int = 0) -> float:
        """The learning rate of a step.

        Args:
            step: its number, from 0.
            warm_from: number of the first step after the last start without moments.
        """
        left = max(0.0, 1 - step / self.steps)
        cool = max(COLDEST, min(1.0, left / self.cooling))
        return self.rate * cool * min(1.0, (step - warm_from + 1) / self.warmup)

    def progress_at(self, step: int) -> float:
        """How far the tasks' difficulty is, 0 to 1."""
        return min(1.0, step / self.ramp) if self.ramp else 1.0
