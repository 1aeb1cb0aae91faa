"""How far the run is, in words."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.long_run import job
from benchmarks.long_run.landing import LANDED, landings, read_landing
from benchmarks.long_run.state_file import NAME, read_state
from iris_core.training.pretraining.curve import control_sets
from iris_core.training.pretraining.trainer import Progress

SHOWN = ("own", "tokens", "swapped", "rolled")


def spoken_status(folder: Path, path: Path = LANDED) -> str:
    """Hours, steps, episodes and the last control figures, of the folder and of what landed.

    Args:
        folder: of the state.
        path: what landed.
    """
    process, state, landed = job.running(folder), read_state(folder), read_landing(path)
    if process is None:
        lines = [f"No process is at work in {folder}."]
    else:
        lines = [f"Process {process} {'stands still' if job.paused(process) else 'is at work'} in {folder}."]
    if state is not None:
        age = (time.time() - (folder / NAME).stat().st_mtime) / 60
        lines.append(f"State, {age:.0f} minutes old: {_spoken(state)}")
    told = f"Landed ({landings(path)} times): {_spoken(landed)}" if landed else "Nothing has landed yet."
    lines.append(told)
    return "\n".join(lines)


def _spoken(progress: Progress) -> str:
    counters = progress.counters
    text = (
        f"{counters.seconds / 3600:.2f} worker hours, {counters.steps} steps, {counters.episodes} episodes, "
        f"{counters.skipped} skipped."
    )
    if not progress.log:
        return text
    last = progress.log[-1]
    sets = [
        f"{name}: " + ", ".join(f"{key} {figures[key]:.3f}" for key in SHOWN if key in figures)
        for name, figures in control_sets(last).items()
    ]
    return f"{text} After {last['hours']:.2f} hours, {'; '.join(sets)}."
