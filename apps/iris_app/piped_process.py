"""Piped process: a process of ours that is spoken to through its standard input and output."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import IO, AnyStr


def pipes_of(process: subprocess.Popen[AnyStr]) -> tuple[IO[AnyStr], IO[AnyStr]]:
    """The ends of its standard input and of its standard output.

    Raises:
        BrokenPipeError: it was started without them.
    """
    if process.stdin is None or process.stdout is None:
        raise BrokenPipeError("the process was started without pipes")
    return process.stdin, process.stdout


def end(process: subprocess.Popen[AnyStr]) -> None:
    """Ends it at once and closes its pipes."""
    process.kill()
    process.wait()
    for pipe in pipes_of(process):
        with suppress(OSError):  # what was never read has nobody to read it
            pipe.close()
