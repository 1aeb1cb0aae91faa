"""The run's state on disk: safetensors with a JSON header, written whole or not at all, the last one kept."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from iris_core.config import ModelConfig
from iris_core.errors import CheckpointError
from iris_core.stored.tensor_file import read_tensors
from iris_core.training.pretraining.trainer import Counters, Progress

FORMAT = "iris-long-run-1"
NAME, PREVIOUS = "state.safetensors", "state.previous.safetensors"


def write_state(folder: Path, progress: Progress) -> None:
    """Writes a run between two steps; the one before it stays as a second file.

    A process that is killed at any moment leaves one of the two whole.
    """
    from safetensors.torch import save

    header = {
        "format": FORMAT,
        "config": json.dumps(progress.config.to_dict()),
        "counters": json.dumps(asdict(progress.counters)),
        "recipe": json.dumps(progress.recipe),
        "log": json.dumps(progress.log),
    }
    folder.mkdir(parents=True, exist_ok=True)
    data = save(progress.tensors, metadata=header)
    part = folder / f".{NAME}.{os.getpid()}"
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if (folder / NAME).exists():
        (folder / NAME).replace(folder / PREVIOUS)
    part.replace(folder / NAME)
    for left in folder.glob(f".{NAME}.*"):  # of a process that was killed while it wrote
        left.unlink(missing_ok=True)


def read_state(folder: Path) -> Progress | None:
    """The newest whole state of a folder; None where there is none.

    Raises:
        CheckpointError: there are files, and none of them is whole.
    """
    broken: list[str] = []
    for name in (NAME, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            return _read(path)
        except (CheckpointError, ValueError, KeyError, TypeError) as error:
            broken.append(f"{name}: {error}")
    if broken:
        raise CheckpointError(
            "no state of the long run can be read", where=folder, expected=f"a whole {NAME}",
            found="; ".join(broken), remedy="remove the files; the run then goes on from what landed",
        )  # fmt: skip
    return None


def _read(path: Path) -> Progress:
    header, tensors = read_tensors(path, CheckpointError)
    if header.get("format") != FORMAT:
        raise CheckpointError("is no state of the long run", where=path, expected=FORMAT,
                              found=header.get("format", "no format entry"))  # fmt: skip
    counters = Counters(**json.loads(header["counters"]))
    config = ModelConfig.from_dict(json.loads(header["config"]))
    return Progress(config, counters, tensors, json.loads(header["recipe"]), json.loads(header["log"]))
