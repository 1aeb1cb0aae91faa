"""The loop: epochs of a few steps, each with a look at the held-back case, until that curve is flat."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.peer_nnunet.held_back import Check, draw_curve, is_done
from benchmarks.peer_nnunet.trainer import nnUNetTrainer
from iris_core.errors import InputError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Schedule:
    """When to look and when to stop.

    Attributes:
        minutes: processor minutes of training to spend at least, and over which the rate falls.
        most: processor minutes after which training ends even if the curve still rises; None: no bound.
        steps: of an epoch; after each epoch the held-back case is segmented.
    """

    minutes: float = 60.0
    most: float | None = None
    steps: int = 10


def train(
    trainer: nnUNetTrainer, schedule: Schedule, folder: Path, look: Callable[[], float], title: str
) -> list[Check]:
    """Trains, or goes on with what lies in `folder`: curve.json, curve.png and latest.pth.

    Looking at the held-back case is no training: its time is not counted.

    Args:
        trainer: from `make_trainer`.
        schedule: when to look and when to stop.
        folder: where curve and weights lie.
        look: gives the Dice of the network of the moment on the held-back case.
        title: of the curve's picture.

    Returns:
        The whole curve.

    Raises:
        InputError: no training is asked for and none was done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record, weights = folder / "curve.json", folder / "latest.pth"
    curve: list[Check] = []
    if record.is_file() and weights.is_file():
        curve = [Check(**entry) for entry in json.loads(record.read_text())]
        trainer.load_checkpoint(str(weights))
    elif schedule.most == 0:
        raise InputError("nothing was trained yet", where=folder, remedy="train before you predict")
    if is_done(curve, minutes=schedule.minutes, most=schedule.most):
        return curve
    trainer.on_train_start()
    while not is_done(curve, minutes=schedule.minutes, most=schedule.most):
        spent = curve[-1].minutes if curve else 0.0
        trainer.lr_scheduler.spent = spent
        started = time.process_time()
        trainer.on_train_epoch_start()
        outputs = [trainer.train_step(next(trainer.dataloader_train)) for _ in range(schedule.steps)]
        trainer.on_train_epoch_end(outputs)
        spent += (time.process_time() - started) / 60
        loss = float(torch.tensor([float(output["loss"]) for output in outputs]).mean())
        curve.append(Check(round(spent, 3), round(look(), 4), round(loss, 4)))
        LOG.info("%s", curve[-1])
        _save(trainer, weights, record, curve)
        draw_curve(curve, folder / "curve.png", title)
        trainer.current_epoch += 1
    return curve


def _save(trainer: nnUNetTrainer, weights: Path, record: Path, curve: list[Check]) -> None:
    """Both files are replaced whole, weights first."""
    for path, write in (
        (weights, lambda part: trainer.save_checkpoint(str(part))),
        (record, lambda part: part.write_text(json.dumps([asdict(check) for check in curve]))),
    ):
        part = path.with_suffix(".part")
        write(part)
        part.replace(path)
