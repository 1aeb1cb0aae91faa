"""The curve of a training on a case that it does not see: when is it flat?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RISE = 0.005  # Dice by which a curve must still rise not to be flat
TAIL = 0.25  # last share of the minutes, in which it must
FEWEST = 8  # checks before anything is called flat


@dataclass(frozen=True)
class Check:
    """One look at the held-back case.

    Attributes:
        minutes: processor minutes of training until then.
        dice: mean Dice over classes, whole volume in its own voxels.
        loss: mean training loss since the last check.
    """

    minutes: float
    dice: float
    loss: float


def is_flat(curve: Sequence[Check]) -> bool:
    """Whether the best of the last quarter of the minutes is hardly above the best before."""
    if len(curve) < FEWEST:
        return False
    bound = (1 - TAIL) * curve[-1].minutes
    before = [check.dice for check in curve if check.minutes <= bound]
    after = [check.dice for check in curve if check.minutes > bound]
    return bool(before and after) and max(after) - max(before) < RISE


def is_done(curve: Sequence[Check], *, minutes: float, most: float | None) -> bool:
    """Whether training ends: flat and `minutes` spent, whichever is later; or `most` minutes spent."""
    spent = curve[-1].minutes if curve else 0.0
    return (spent >= minutes and is_flat(curve)) or (most is not None and spent >= most)


def draw_curve(curve: Sequence[Check], path: Path, title: str) -> None:
    """Draws held-back Dice and training loss over processor minutes as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    minutes = [check.minutes for check in curve]
    axis.plot(minutes, [check.dice for check in curve], color="C0")
    axis.set(xlabel="processor minutes", ylim=(0, 1), title=title)
    axis.set_ylabel("held-back Dice", color="C0")
    right = axis.twinx()
    right.plot(minutes, [check.loss for check in curve], color="C1", alpha=0.6)
    right.set_ylabel("training loss", color="C1")
    figure.tight_layout()
    figure.savefig(path, dpi=80)
    pyplot.close(figure)
