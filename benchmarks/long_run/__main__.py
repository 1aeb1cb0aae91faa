"""python -m benchmarks.long_run COMMAND: starts, pauses, shows and lands the long run."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.long_run import job
from iris_core.errors import IrisError

COMMANDS = {
    "start": "starts the run in the background, or goes on with it",
    "status": "how far the run is",
    "pause": "lets it stand still",
    "resume": "lets it go on",
    "end": "lets it write its state and end",
    "land": "writes the state that the repository keeps",
    "work": "the run itself, in the foreground",
    "curve": "draws docs/images/long_run.png from what landed",
    "controls": "writes the episodes on which the run is measured; once",
}


def main(words: Sequence[str] | None = None) -> int:
    """The command line.

    Args:
        words: after the program's name; those of the process when not given.

    Returns:
        0, or 2 for a user's mistake.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.long_run", description=__doc__)
    folder = job.default_folder()
    parser.add_argument("--folder", type=Path, default=folder, help="of the state (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what)
    arguments = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        print(globals()[f"_{arguments.command}"](arguments.folder.resolve()), flush=True)
    except IrisError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _start(folder: Path) -> str:
    process, new = job.start(folder)
    return f"The long run {'is at work' if new else 'goes on'}: process {process}, state in {folder}."


def _status(folder: Path) -> str:
    from benchmarks.long_run.status import spoken_status

    return spoken_status(folder)


def _pause(folder: Path) -> str:
    return f"Process {job.signalled(folder, signal.SIGSTOP)} stands still."


def _resume(folder: Path) -> str:
    return f"Process {job.signalled(folder, signal.SIGCONT)} goes on."


def _end(folder: Path) -> str:
    return f"Process {job.signalled(folder, signal.SIGTERM)} writes its state and ends."


def _land(folder: Path) -> str:
    from benchmarks.long_run.landing import LANDED, land
    from benchmarks.long_run.state_file import read_state
    from iris_core.errors import InputError

    state = read_state(folder)
    if state is None:
        raise InputError("nothing to land", where=folder, remedy="make long-run starts the run")
    number = land(state)
    counters = state.counters
    return (f"Landing {number}: {counters.seconds / 3600:.2f} worker hours, {counters.steps} steps, "
            f"{counters.episodes} episodes. Commit {LANDED.relative_to(job.ROOT)}.")  # fmt: skip


def _work(folder: Path) -> str:
    from benchmarks.long_run.plan import worker

    with job.alone_in(folder):
        one = worker(folder)
        one.run()
        return f"{one.trainer.counters}"


def _curve(_: Path) -> str:
    from benchmarks.long_run.landing import read_landing
    from iris_core.errors import InputError
    from iris_core.training.pretraining.curve import draw_curve

    landed, picture = read_landing(), job.ROOT / "docs" / "images" / "long_run.png"
    if landed is None:
        raise InputError("nothing to draw: nothing landed yet", where=picture, remedy="make long-run-land")
    draw_curve(landed.log, picture)
    return f"Drew {picture.relative_to(job.ROOT)}."


def _controls(_: Path) -> str:
    from benchmarks.long_run.plan import write_new_controls

    return f"Wrote {write_new_controls()}."


if __name__ == "__main__":
    sys.exit(main())
