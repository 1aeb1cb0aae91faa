"""The run as a job in the background: one at a time in a folder, with a lock, paused and ended by signals."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from iris_core.errors import InputError

LOCK, OUTPUT = "lock", "output.log"
PATIENCE = 2.0  # seconds
START_SECONDS = 120  # a busy machine takes long to import
ROOT = Path(__file__).parents[2]


def default_folder() -> Path:
    """IRIS_LONG_RUN, or long-run in the user's cache of Iris."""
    told = os.environ.get("IRIS_LONG_RUN")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(told) if told else cache / "iris" / "long-run"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which names this process; the system frees it when the process ends.

    Raises:
        InputError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "a+", encoding="utf-8") as file:
        until = time.monotonic() + PATIENCE
        # who asks whether a run is at work holds the lock for a moment
        while not _locked(file) and time.monotonic() < until:
            time.sleep(0.05)
        if not _locked(file):
            raise InputError(
                "the long run is at work here already", where=folder, found=f"process {running(folder)}",
                remedy="make long-run-status",
            )  # fmt: skip
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def running(folder: Path) -> int | None:
    """The process at work in a folder; None where there is none."""
    path = folder / LOCK
    if not path.is_file():
        return None
    with open(path, "r+", encoding="utf-8") as file:
        if _locked(file):
            return None
        text = file.read().strip()
        return int(text) if text.isdigit() else None


def _locked(file: IO[str]) -> bool:
    """Whether this process could take the lock of an open file, or has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def paused(process: int) -> bool:
    """Whether a process stands still."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except OSError:
        return False


def start(folder: Path, work: Sequence[str] | None = None) -> tuple[int, bool]:
    """Starts the worker in the background at the lowest priority, or lets a paused one go on.

    Args:
        folder: of the state.
        work: another command than the plan's worker; it holds the folder's lock while it works.

    Returns:
        The process, and whether it is new.
    """
    process = running(folder)
    if process is not None:
        os.kill(process, signal.SIGCONT)
        return process, False
    folder.mkdir(parents=True, exist_ok=True)
    work = work or [sys.executable, "-m", "benchmarks.long_run", "--folder", str(folder), "work"]
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    with open(folder / OUTPUT, "a", encoding="utf-8") as output:
        child = subprocess.Popen(
            ["nice", "-n", "19", *work], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            cwd=ROOT, start_new_session=True, env={**os.environ, **threads},
        )  # fmt: skip
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        process = running(folder)
        if process is not None:
            return process, True
        if child.poll() is not None:
            break
        time.sleep(0.2)
    raise InputError("the long run did not start", where=folder, remedy=f"read {folder / OUTPUT}")


def signalled(folder: Path, number: signal.Signals) -> int:
    """Sends a signal to the process at work in a folder.

    Returns:
        The process.

    Raises:
        InputError: none is at work there.
    """
    process = running(folder)
    if process is None:
        raise InputError("no long run is at work here", where=folder, remedy="make long-run starts it")
    os.kill(process, number)
    if number == signal.SIGTERM:
        os.kill(process, signal.SIGCONT)  # a paused one ends as well
    return process
