"""`iris pretrain`: a run of some minutes or steps, on one or several CPU workers or on a GPU."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from iris_core.allocator import reuse_memory
from iris_core.config import preset
from iris_core.errors import InputError
from iris_core.model.build import build
from iris_core.training.pretraining.curve import draw_curve
from iris_core.training.pretraining.recipe import GPU_WINDOWS, WINDOWS, Recipe, Window
from iris_core.training.pretraining.run import Run
from iris_core.training.pretraining.snapshot import read_snapshot, write_snapshot
from iris_core.training.pretraining.trainer import Progress, Trainer
from iris_core.training.pretraining.workers import ALONE, Team
from iris_core.training.synthesis import EpisodeBatch, synthesise

log = logging.getLogger(__name__)

CONTROL_SEED, CONTROL_BATCHES, CONTROL_CLASSES, CONTROL_SHAPE = 90210, 6, 5, (48, 48, 32)
LAST = "last.safetensors"
SAVE_SECONDS, FIGURES_EVERY = 240.0, 300.0


@dataclass(frozen=True)
class Settings:
    """One segment of a run.

    Args:
        output: folder for last.safetensors, log.jsonl, steps.jsonl and curve.png.
        recipe: of the steps, and seed of fresh weights; its budget is the one given here.
        preset: of the network.
        changes: of the preset's config, by name; a resumed run keeps the config of its file.
        minutes: wall time of this segment.
        total_minutes: wall time of the whole run, over all segments; drives learning rate and difficulty.
            None, or less than what is done and this segment: the run ends with this segment.
        steps: of the whole run, in place of minutes: they end it and drive rate and difficulty, so that runs
            on a busy machine compare.
        resume: checkpoint to go on from; moments of the optimiser start anew and warm up again.
        workers: CPU processes that share a step.
        device: "cpu" or "cuda".

    Raises:
        InputError: the settings make no run.
    """

    output: Path
    recipe: Recipe
    preset: str = "tiny"
    changes: Mapping[str, object] = field(default_factory=dict)
    minutes: float = 10.0
    total_minutes: float | None = None
    steps: int | None = None
    resume: Path | None = None
    workers: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("minutes", "total_minutes", "steps", "workers"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError("must be positive", where=name, found=value)
        if self.steps is not None and self.total_minutes is not None:
            raise InputError("steps and minutes of the whole run exclude each other", where="total_minutes")
        if self.workers > 1 and self.device != "cpu":
            raise InputError("several workers share a step on the CPU only", where="workers",
                             found=self.workers)  # fmt: skip

    def budgeted(self, seconds: float) -> Recipe:
        """The recipe with the budget of the whole run, of which earlier segments took some seconds."""
        if self.steps is not None:
            return replace(self.recipe, steps=self.steps, minutes=None)
        whole = max(seconds / 60 + self.minutes, self.total_minutes or 0)
        return replace(self.recipe, minutes=whole)


def recipe_for(device: str, pairs: int | None = None, **changes: Any) -> Recipe:
    """The recipe of a training from fresh weights.

    Args:
        device: "cpu" or "cuda"; decides about the windows.
        pairs: of people in a step and worker; None: as many as each window holds.
        changes: of the recipe.
    """
    windows: tuple[Window, ...] = GPU_WINDOWS if device == "cuda" else WINDOWS
    if pairs is not None:
        windows = tuple(window._replace(pairs=pairs) for window in windows)
    return Recipe(windows=windows, ramp=1.0, **changes)


def pretrain(settings: Settings) -> Path:
    """Trains for the minutes, or the steps, given.

    Returns:
        The checkpoint, settings.output / "last.safetensors".

    Raises:
        InputError: an unknown preset or no file to resume from.
        CheckpointError: that file is no checkpoint, or is damaged.
    """
    if settings.resume is None:
        start = Progress(preset(settings.preset, **settings.changes))
    else:
        start = read_snapshot(settings.resume)
    if settings.workers == 1:
        _segment(settings, start, ALONE)
    else:
        with tempfile.TemporaryDirectory() as folder:
            arguments = (settings, start, f"file://{folder}/meet", log.getEffectiveLevel())
            torch.multiprocessing.spawn(_worker, args=arguments, nprocs=settings.workers)
    return settings.output / LAST


def _worker(rank: int, settings: Settings, start: Progress, meeting: str, level: int) -> None:
    reuse_memory()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // settings.workers))
    logging.basicConfig(level=logging.WARNING if rank else level, format="%(message)s")
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=settings.workers)
    _segment(settings, start, Team(rank, settings.workers))
    distributed.destroy_process_group()


def _segment(settings: Settings, start: Progress, team: Team) -> None:
    """One worker's part of a segment; the first worker measures and saves."""
    recipe = settings.budgeted(start.counters.seconds)
    trainer = Trainer(build(start.config, seed=recipe.seed), recipe, settings.device, team=team)
    if settings.resume is not None:
        trainer.go_on(start)
    facts = {"preset": settings.preset,
             "machine": f"{platform.machine()}, {os.cpu_count()} cores, {settings.workers} workers, "
                        f"{settings.device}, torch {torch.__version__}"}  # fmt: skip

    def save(run: Run) -> None:
        write_snapshot(settings.output / LAST, run.trainer.progress(run.lines), facts)

    controls = {"control": control_episodes()} if team.rank == 0 else {}
    run = Run(trainer, settings.output, controls, save, start.log, save_seconds=SAVE_SECONDS,
              figures_every=FIGURES_EVERY, wall=True)  # fmt: skip
    run.run(seconds=60 * settings.minutes if settings.steps is None else float("inf"))
    if team.rank == 0:
        draw_curve(run.lines, settings.output / "curve.png")


def control_episodes() -> list[EpisodeBatch]:
    """Fixed episodes at full difficulty, which no training draws."""
    generator = torch.Generator().manual_seed(CONTROL_SEED)
    return [synthesise(2, CONTROL_CLASSES, CONTROL_SHAPE, generator) for _ in range(CONTROL_BATCHES)]
