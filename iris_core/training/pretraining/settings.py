"""What a pretraining run is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iris_core.errors import InputError
from iris_core.training.synthesis.families import FAMILIES

Shape = tuple[int, int, int]

# Windows of a step, drawn evenly; few, so that every kernel is compiled once.
CPU_SHAPES: tuple[Shape, ...] = (
    (48, 48, 32),
    (32, 48, 48),
    (48, 32, 48),
    (48, 48, 48),
    (32, 32, 32),
    (64, 64, 64),
)
GPU_SHAPES: tuple[Shape, ...] = ((64, 64, 64), (64, 64, 64), (96, 96, 64), (96, 96, 96))


@dataclass(frozen=True)
class Settings:
    """One segment of a run.

    Args:
        output: folder for last.safetensors, log.jsonl and curve.png.
        preset: of the network.
        changes: of the preset's config, by name; a resumed run keeps the config of its file.
        families: of synthetic anatomies, drawn evenly; none named: all, by their shares.
        minutes: wall time of this segment.
        total_minutes: wall time of the whole run, over all segments; drives learning rate and curriculum.
            None, or less than what is done and this segment: the run ends with this segment.
        steps: of the whole run, in place of minutes: they end it and drive rate and curriculum, so that runs
            on a busy machine compare.
        resume: checkpoint to go on from; moments of the optimiser start anew and warm up again.
        batch: episodes per step and worker.
        classes: most tasks per episode; each step draws between half and all of them.
        shapes: windows in voxels.
        rate: peak learning rate of AdamW.
        decay: weight decay.
        matching: weight of the loss that matches cells of reference and query which show the same place of
            the anatomy, each of two levels; 0 leaves it out.
        warmup: steps.
        ema: decay of the averaged weights that are saved.
        workers: CPU processes that share a step; 1 on a GPU.
        device: "cpu" or "cuda".
        seed: of weights and tasks.
        log_every: steps between control figures.
        save_minutes: minutes between checkpoints.
    """

    output: Path
    preset: str = "tiny"
    changes: Mapping[str, object] = field(default_factory=dict)
    families: tuple[str, ...] = ()
    minutes: float = 10.0
    total_minutes: float | None = None
    steps: int | None = None
    resume: Path | None = None
    batch: int = 2
    classes: int = 5
    shapes: tuple[Shape, ...] = CPU_SHAPES
    rate: float = 1e-3
    decay: float = 1e-2
    matching: float = 0.0
    warmup: int = 100
    ema: float = 0.995
    workers: int = 1
    device: str = "cpu"
    seed: int = 0
    log_every: int = 200
    save_minutes: float = 4.0

    def __post_init__(self) -> None:
        for name in ("minutes", "batch", "classes", "workers", "rate"):
            if getattr(self, name) <= 0:
                raise InputError("must be positive", where=name, found=getattr(self, name))
        if self.steps is not None and self.steps <= 0:
            raise InputError("must be positive", where="steps", found=self.steps)
        if self.steps is not None and self.total_minutes is not None:
            raise InputError("steps and minutes of the whole run exclude each other", where="total_minutes")
        if self.matching < 0:
            raise InputError("must not be negative", where="matching", found=self.matching)
        for name in self.families:
            if name not in FAMILIES:
                raise InputError("no such family", where=name, expected=f"some of {', '.join(FAMILIES)}")
        if self.workers > 1 and self.device != "cpu":
            raise InputError(
                "several workers share a step on the CPU only", where="workers", found=self.workers
            )
