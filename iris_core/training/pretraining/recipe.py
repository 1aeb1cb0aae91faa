"""The recipe of a training: what each step draws and learns from, and how rate and difficulty change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from iris_core.errors import InputError
from iris_core.training.synthesis.families import FAMILIES

Shape = tuple[int, int, int]
COLDEST = 0.02  # of the peak rate, at the end


class Window(NamedTuple):
    """A kind of step."""

    shape: Shape  # of the windows, voxels
    share: float  # of the steps
    pairs: int  # of people; each gives two episodes, one in either direction


# So that steps of every window cost about the same on a processor.
WINDOWS = (
    Window((32, 32, 32), 0.4, 3),
    Window((48, 48, 32), 0.1, 2),
    Window((48, 32, 48), 0.1, 2),
    Window((32, 48, 48), 0.1, 2),
    Window((48, 48, 48), 0.2, 2),
    Window((64, 64, 64), 0.1, 1),
)
GPU_WINDOWS = (
    Window((64, 64, 64), 0.5, 2),
    Window((96, 96, 64), 0.25, 1),
    Window((96, 96, 96), 0.25, 1),
)


@dataclass(frozen=True)
class Recipe:
    """The decisions of docs/decisions/0090, 0091 and 0117.

    Args:
        windows: kinds of steps.
        classes: fewest and most tasks of a pair.
        families: of synthetic anatomies, drawn evenly; none named: all, by their shares.
        without_memory: share of the steps in which the tokens answer alone.
        deep: weight of the loss of the class vectors against the maps at strides 8, 4 and 2.
        contrast: weight of the loss that brings both people's embeddings of one structure together.
        nuisance: weight of what a linear probe finds of the volume in the embeddings.
        rate: peak learning rate of AdamW.
        decay: its weight decay.
        warmup: steps to the peak, from the start and from every start without moments.
        ramp: share of the run until the tasks are at full difficulty; 0: from the start.
        steps: of the whole run.
        minutes: of the whole run, which then ends by time and not by steps; None: by steps.
        cooling: share of the run, at its end, in which the rate falls to almost nothing.
        ema: decay of the averaged weights, which are measured and kept.
        seed: of the tasks.

    Raises:
        InputError: a family is unknown, or the seed has more than 64 bits.
    """

    windows: tuple[Window, ...] = WINDOWS
    classes: tuple[int, int] = (8, 16)
    families: tuple[str, ...] = ()
    without_memory: float = 0.6
    deep: float = 0.3
    contrast: float = 0.5
    nuisance: float = 0.3
    rate: float = 1e-3
    decay: float = 1e-2
    warmup: int = 100
    ramp: float = 0.0
    steps: int = 64_000
    minutes: float | None = None
    cooling: float = 0.2
    ema: float = 0.998
    seed: int = 0

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**63:
            raise InputError("no such seed", where="seed", expected="a number of 64 bits", found=self.seed)
        for name in self.families:
            if name not in FAMILIES:
                raise InputError("no such family", where=name, expected=f"some of {', '.join(FAMILIES)}")

    def done(self, steps: int, seconds: float) -> float:
        """The share of the run that is done after so many steps and seconds; 1 and more at its end."""
        return steps / self.steps if self.minutes is None else seconds / (60 * self.minutes)

    def rate_at(self, done: float, warm: int) -> float:
        """The learning rate at a share of the run, so many steps after the last start without moments."""
        cool = max(COLDEST, min(1.0, max(0.0, 1 - done) / self.cooling))
        return self.rate * cool * min(1.0, (warm + 1) / self.warmup)

    def difficulty_at(self, done: float) -> float:
        """How difficult the tasks are, 0 to 1, by the share of the run that is done."""
        return min(1.0, done / self.ramp) if self.ramp else 1.0
