"""The worker: a run that goes on from its folder or from what landed, whichever is further."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.long_run.landing import read_landing
from benchmarks.long_run.state_file import read_state, write_state
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.training.pretraining.recipe import Recipe
from iris_core.training.pretraining.run import Run
from iris_core.training.pretraining.trainer import Progress, Trainer
from iris_core.training.synthesis import EpisodeBatch


def worker(
    folder: Path,
    recipe: Recipe,
    start: Callable[[], Iris],
    controls: dict[str, Sequence[EpisodeBatch]],
    landed: Path,
    *,
    device: str = "cpu",
    half: bool | None = None,
) -> Run:
    """The run in a folder; SIGTERM and SIGINT let it end after the step that it is in.

    Args:
        folder: that holds its state.
        recipe: what its steps do.
        start: makes the network that a run begins with.
        controls: sets of fixed episodes by name.
        landed: the repository's file, from which it goes on where the folder holds less.
        device: "cpu" or "cuda".
        half: as of `Trainer`.
    """
    progress = furthest(read_state(folder), read_landing(landed))
    model = start() if progress is None else build(progress.config, seed=0)
    trainer = Trainer(model, recipe, device, half)
    if progress is not None:
        trainer.go_on(progress)

    def save(run: Run) -> None:
        write_state(folder, trainer.progress(run.lines))

    run = Run(trainer, folder, controls, save, [] if progress is None else progress.log)
    signal.signal(signal.SIGTERM, run.end)
    signal.signal(signal.SIGINT, run.end)
    return run


def furthest(*runs: Progress | None) -> Progress | None:
    """The run with most steps; the first of several; None where there is none."""
    held = [run for run in runs if run is not None]
    return max(held, key=lambda run: run.counters.steps, default=None)


def quiet_threads() -> None:
    """One thread, and memory that is used again."""
    from iris_core.allocator import reuse_memory

    torch.set_num_threads(1)
    reuse_memory()
