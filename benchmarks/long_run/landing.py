"""What the repository keeps of the run: averaged weights in float16, counters and log, one file of a few MB.

The file is an ordinary checkpoint, so that every command takes it (`--checkpoint`).
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.long_run.state_file import State
from iris_core.checkpoint import load_model, save_model
from iris_core.errors import InputError
from iris_core.model.build import build
from iris_core.training.pretraining.long.trainer import Counters, Progress

LANDED = Path(__file__).parent / "landed.safetensors"
MOST_BYTES = 12_000_000
MOST_LANDINGS = 12


def read_landing(path: Path = LANDED) -> State | None:
    """The state that landed last, without moments; None where nothing landed yet."""
    if not path.is_file():
        return None
    loaded = load_model(path)
    tensors = {f"average.{name}": value for name, value in loaded.model.state_dict().items()}
    tensors |= {f"probe.{name}": value for name, value in loaded.state.items()}
    run = loaded.meta["long_run"]
    return State(
        loaded.model.config, Progress(Counters(**run["counters"]), tensors), run["recipe"], run["log"]
    )


def landings(path: Path = LANDED) -> int:
    """How often the run has landed."""
    return int(load_model(path).meta["long_run"]["landings"]) if path.is_file() else 0


def land(state: State, path: Path = LANDED) -> int:
    """Writes what the repository keeps.

    Returns:
        The number of this landing.

    Raises:
        InputError: the state is no further than the one that landed, twelve have landed, or it is too large.
    """
    before, number = read_landing(path), landings(path) + 1
    own = state.progress.counters
    if before is not None and own.steps <= before.progress.counters.steps:
        raise InputError(
            "this state is no further than the one that landed", where=path, found=f"{own.steps} steps",
            expected=f"more than {before.progress.counters.steps}", remedy="let the run go on first",
        )  # fmt: skip
    if number > MOST_LANDINGS:
        raise InputError("the run has landed often enough", where=path, expected=f"at most {MOST_LANDINGS}")
    model = build(state.config)
    tensors = state.progress.tensors
    model.load_state_dict(
        {n.removeprefix("average."): v.float() for n, v in tensors.items() if n.startswith("average.")}
    )
    probe = {n.removeprefix("probe."): v for n, v in tensors.items() if n.startswith("probe.")}
    meta = {
        "preset": "tiny", "data": "synthetic tasks only, no patient data",
        "steps": own.steps, "episodes": own.episodes, "seconds": own.seconds,
        "long_run": {"landings": number, "counters": own.to_dict(), "recipe": state.recipe, "log": state.log},
    }  # fmt: skip
    part = path.with_name(f"{path.name}.new")
    save_model(part, model, meta, extra=probe)
    size = part.stat().st_size
    if size > MOST_BYTES:
        part.unlink()
        raise InputError("the state is too large to land", where=path, expected=f"at most {MOST_BYTES} bytes",
                         found=size)  # fmt: skip
    part.replace(path)
    return number
