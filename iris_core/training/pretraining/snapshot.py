"""A run as an ordinary checkpoint of a few MB: averaged weights in float16, counters and log, no moments.

Every command takes such a file (`--checkpoint`), and a training goes on from it.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from iris_core.checkpoint import load_model, save_model
from iris_core.model.build import build
from iris_core.training.pretraining.trainer import Counters, Progress, under

KEY, OLD_KEY = "run", "long_run"  # of a checkpoint's facts


def write_snapshot(path: Path, progress: Progress, facts: dict[str, Any]) -> None:
    """Writes a run without its moments as a checkpoint, with facts beside the run's own."""
    own = progress.counters
    model = build(progress.config)
    model.load_state_dict(under("average.", progress.tensors))
    meta = {"data": "synthetic tasks only, no patient data",
            "steps": own.steps, "episodes": own.episodes, "skipped": own.skipped, "seconds": own.seconds,
            KEY: {"counters": asdict(own), "recipe": progress.recipe, "log": progress.log}}  # fmt: skip
    save_model(path, model, meta | facts, extra=under("probe.", progress.tensors))


def read_snapshot(path: Path) -> Progress:
    """The run in a checkpoint; of a checkpoint without one, the weights and what it counted.

    Raises:
        InputError: no such file.
        CheckpointError: it is no checkpoint, or is damaged.
    """
    loaded = load_model(path)
    tensors = {f"average.{name}": value for name, value in loaded.model.state_dict().items()}
    if "moments" in loaded.state:
        tensors["probe.moments"] = loaded.state["moments"]
    run = loaded.meta.get(KEY) or loaded.meta.get(OLD_KEY) or {}
    counted = {name: loaded.meta.get(name, 0) for name in ("steps", "episodes", "skipped", "seconds")}
    counters = Counters(**run.get("counters", counted))
    return Progress(loaded.model.config, counters, tensors, run.get("recipe", {}), run.get("log", []))
