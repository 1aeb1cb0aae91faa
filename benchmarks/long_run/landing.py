"""What the repository keeps of the run: a snapshot of a few MB, an ordinary checkpoint."""

from __future__ import annotations

from pathlib import Path

from iris_core.checkpoint import load_model
from iris_core.errors import InputError
from iris_core.training.pretraining.snapshot import read_snapshot, write_snapshot
from iris_core.training.pretraining.trainer import Progress

LANDED = Path(__file__).parent / "landed.safetensors"
MOST_BYTES = 12_000_000
MOST_LANDINGS = 12


def read_landing(path: Path = LANDED) -> Progress | None:
    """The run as it landed last, without moments; None where nothing landed yet."""
    return read_snapshot(path) if path.is_file() else None


def landings(path: Path = LANDED) -> int:
    """How often the run has landed."""
    if not path.is_file():
        return 0
    meta = load_model(path).meta
    return int(meta["landings"] if "landings" in meta else meta["long_run"]["landings"])


def land(progress: Progress, path: Path = LANDED) -> int:
    """Writes what the repository keeps.

    Returns:
        The number of this landing.

    Raises:
        InputError: the run is no further than the one that landed, twelve have landed, or it is too large.
    """
    before, number = read_landing(path), landings(path) + 1
    steps = progress.counters.steps
    if before is not None and steps <= before.counters.steps:
        raise InputError(
            "this state is no further than the one that landed", where=path, found=f"{steps} steps",
            expected=f"more than {before.counters.steps}", remedy="let the run go on first",
        )  # fmt: skip
    if number > MOST_LANDINGS:
        raise InputError("the run has landed often enough", where=path, expected=f"at most {MOST_LANDINGS}")
    part = path.with_name(f"{path.name}.new")
    write_snapshot(part, progress, {"preset": "tiny", "landings": number})
    size = part.stat().st_size
    if size > MOST_BYTES:
        part.unlink()
        raise InputError("the state is too large to land", where=path, expected=f"at most {MOST_BYTES} bytes",
                         found=size)  # fmt: skip
    part.replace(path)
    return number
