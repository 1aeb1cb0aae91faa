"""The worker: takes steps, writes its state every few minutes, and control figures every worker hour."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.long_run.landing import read_landing
from benchmarks.long_run.state_file import State, read_state, write_state
from iris_core.model.iris import Iris
from iris_core.training.pretraining.controls import control_figures
from iris_core.training.pretraining.long.recipe import Recipe
from iris_core.training.pretraining.long.trainer import Trainer
from iris_core.training.synthesis import EpisodeBatch

LOG = logging.getLogger(__name__)
HOUR = 3600.0


class Worker:
    """A run in a folder.

    Args:
        folder: that holds its state.
        recipe: what its steps do.
        start: makes the network that a run begins with.
        controls: sets of fixed episodes by name.
        landed: the repository's file, from which it goes on where the folder holds less.
        save_seconds: of wall time between two states.
        figures_every: worker seconds between two lines of control figures.
        device: "cpu" or "cuda".
        half: as of `Trainer`.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        start: Callable[[], Iris],
        controls: dict[str, Sequence[EpisodeBatch]],
        landed: Path,
        *,
        save_seconds: float = 180.0,
        figures_every: float = HOUR,
        device: str = "cpu",
        half: bool | None = None,
    ) -> None:
        self.folder, self.recipe = folder, recipe
        self.controls = {name: [_moved(one, device) for one in many] for name, many in controls.items()}
        self.save_seconds, self.figures_every = save_seconds, figures_every
        self.state = furthest(read_state(folder), read_landing(landed))
        model = start() if self.state is None else _network(self.state)
        self.trainer = Trainer(model, recipe, device, half)
        if self.state is not None:
            self.trainer.go_on(self.state.progress)
        self.lines = [] if self.state is None else list(self.state.log)
        self.sums: dict[str, list[float]] = {}
        self.ended = False

    def end(self, *_: object) -> None:
        """Lets the run end after the step that it is in; as a handler of signals."""
        self.ended = True

    def run(self, steps: int | None = None) -> None:
        """Takes steps until the recipe's are done, the run is told to end, or so many steps are taken."""
        signal.signal(signal.SIGTERM, self.end)
        signal.signal(signal.SIGINT, self.end)
        counters, last = self.trainer.counters, self.recipe.steps
        last = last if steps is None else min(last, counters.steps + steps)
        if not self.lines:
            self._figures()
        saved = time.monotonic()
        while self.trainer.counters.steps < last and not self.ended:
            self._step()
            if self.trainer.counters.seconds >= self._next_figures():
                self._figures()
                self._save()
                saved = time.monotonic()
            elif time.monotonic() - saved > self.save_seconds:
                self._save()
                saved = time.monotonic()
        self._save()

    def _step(self) -> None:
        begun = time.process_time()
        parts = self.trainer.step()
        self.trainer.counters.seconds += time.process_time() - begun
        for name, value in parts.items():
            self.sums.setdefault(name, []).append(value)
        with open(self.folder / "steps.jsonl", "a", encoding="utf-8") as file:
            short = {name: round(value, 6) for name, value in parts.items()}
            file.write(json.dumps({"step": self.trainer.counters.steps, **short}) + "\n")

    def _next_figures(self) -> float:
        return self.lines[-1]["due"] if self.lines else 0.0

    def _figures(self) -> None:
        """Measures, and adds a line to the log. Its time is not worker time."""
        counters = self.trainer.counters
        line = {
            "hours": round(counters.seconds / 3600, 3), "steps": counters.steps,
            "episodes": counters.episodes, "skipped": counters.skipped,
            "due": (counters.seconds // self.figures_every + 1) * self.figures_every,
            "loss": {name: round(sum(v) / len(v), 4) for name, v in self.sums.items()},
        }  # fmt: skip
        for name, batches in self.controls.items():
            line[name] = control_figures(self.trainer.average.model, batches)
        self.lines.append(line)
        self.sums = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in self.lines))
        LOG.info("%s", line)

    def _save(self) -> None:
        model = self.trainer.model
        state = State(model.config, self.trainer.progress(), _plain(asdict(self.recipe)), self.lines)
        write_state(self.folder, state)


def furthest(*states: State | None) -> State | None:
    """The state with most steps; the first of several; None where there is none."""
    held = [state for state in states if state is not None]
    return max(held, key=lambda state: state.progress.counters.steps, default=None)


def _moved(batch: EpisodeBatch, device: str) -> EpisodeBatch:
    """The episodes on a device."""
    held = {name: value.to(device) for name, value in vars(batch).items() if torch.is_tensor(value)}
    return replace(batch, **held)


def _network(state: State) -> Iris:
    from iris_core.model.build import build

    return build(state.config, seed=0)


def _plain(values: dict) -> dict:
    return json.loads(json.dumps(values))


def quiet_threads() -> None:
    """One thread, and memory that is used again."""
    from iris_core.allocator import reuse_memory

    torch.set_num_threads(1)
    reuse_memory()
