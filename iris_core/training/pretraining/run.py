"""The loop of every training: takes steps, measures the network now and then, saves every few minutes."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iris_core.training.pretraining.controls import control_figures
from iris_core.training.pretraining.trainer import Trainer
from iris_core.training.synthesis import EpisodeBatch

log = logging.getLogger(__name__)


class Run:
    """A trainer at work in a folder, which gets steps.jsonl and log.jsonl.

    Args:
        trainer: takes the steps.
        folder: made where it is missing.
        controls: sets of fixed episodes by name, on which the averaged weights are measured.
        save: writes what a later run goes on from; it gets this run.
        lines: of control figures so far.
        save_seconds: of wall time between two saves.
        figures_every: seconds of the run between two lines of control figures.
        wall: the run's seconds are wall time; else processor time, user and system, of the steps alone.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: Path,
        controls: Mapping[str, Sequence[EpisodeBatch]],
        save: Callable[[Run], None],
        lines: Sequence[dict[str, Any]] = (),
        *,
        save_seconds: float = 180.0,
        figures_every: float = 3600.0,
        wall: bool = False,
    ) -> None:
        self.trainer, self.folder, self.save, self.lines = trainer, folder, save, list(lines)
        self.controls = {name: [one.to(trainer.device) for one in many] for name, many in controls.items()}
        self.save_seconds, self.figures_every, self.wall = save_seconds, figures_every, wall
        self.ended = False
        self._first = trainer.team.rank == 0  # the one worker that measures and saves
        self._clock = time.monotonic if wall else time.process_time
        self._sums: dict[str, list[float]] = {}
        self._mark = 0.0  # of the clock, up to which the run's seconds are counted

    def end(self, *_: object) -> None:
        """Lets the run end after the step that it is in; as a handler of signals."""
        self.ended = True

    def run(self, steps: float = float("inf"), seconds: float = float("inf")) -> None:
        """Takes steps until the recipe ends, the run is ended, or so many steps or seconds are spent."""
        trainer, counters = self.trainer, self.trainer.counters
        last, until, saved = counters.steps + steps, counters.seconds + seconds, time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark = self._clock()
        if self._first and not self.lines:  # a run that begins
            (self.folder / "steps.jsonl").unlink(missing_ok=True)
            self._measure()
        while not self.ended and counters.steps < last and counters.seconds < until:
            if trainer.recipe.done(counters.steps, counters.seconds) >= 1:
                break
            self._step()
            if not self._first:
                continue
            due = counters.seconds >= self.lines[-1]["due"]
            if due:
                self._measure()
            if due or time.monotonic() - saved > self.save_seconds:
                self.save(self)
                saved = time.monotonic()
        if self._first:
            if not self.ended and self.lines[-1]["steps"] < counters.steps:
                self._measure()
            self.save(self)

    def _step(self) -> None:
        counters = self.trainer.counters
        self._mark = self._mark if self.wall else self._clock()
        parts = self.trainer.step()
        now = self._clock()
        elapsed, orphan = self.trainer.team.clock(now - self._mark)
        counters.seconds, self._mark = counters.seconds + elapsed, now
        if orphan:
            self.ended = True
        if not self._first:
            return
        for name, value in parts.items():
            self._sums.setdefault(name, []).append(value)
        with open(self.folder / "steps.jsonl", "a", encoding="utf-8") as file:
            short = {name: round(value, 6) for name, value in parts.items()}
            file.write(json.dumps({"step": counters.steps, **short}) + "\n")

    def _measure(self) -> None:
        """Adds a line of control figures to the log."""
        counters = self.trainer.counters
        line: dict[str, Any] = {
            "hours": round(counters.seconds / 3600, 3), "steps": counters.steps,
            "episodes": counters.episodes, "skipped": counters.skipped,
            "due": (counters.seconds // self.figures_every + 1) * self.figures_every,
            "loss": {name: round(sum(v) / len(v), 4) for name, v in self._sums.items()},
        }  # fmt: skip
        for name, batches in self.controls.items():
            line[name] = control_figures(self.trainer.average.model, batches)
        self.lines.append(line)
        self._sums = {}
        (self.folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in self.lines))
        log.info("%s", line)
