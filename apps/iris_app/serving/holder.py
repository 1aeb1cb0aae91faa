"""Who holds a lock: what its holder has noted, and what the system knows."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from apps.iris_app.lib.state import read_json, write_json
from iris_core.errors import PassingError

NOTE = "serve.json"  # beside the file of the lock
LOCKS = Path("/proc/locks")


def note_holder(folders: Iterable[Path]) -> None:
    """Notes in each folder that can be written to that this process serves."""
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    for folder in folders:
        try:
            write_json(note, folder / NOTE)
        except (OSError, PassingError):  # a read-only place: the system still knows the process
            continue


def name_holder(locked: str, folders: Iterable[Path]) -> str:
    """The process that holds a lock, in words.

    Args:
        locked: file or folder that is locked.
        folders: where its holder may have left a note.
    """
    pid = _locking_process(locked)
    notes = [note for folder in folders if isinstance(note := read_json(folder / NOTE, None), dict)]
    fitting = [note for note in notes if pid in (None, note.get("pid"))]
    if not fitting:
        return f"process {pid or 'unknown'}"
    note = max(fitting, key=lambda note: str(note.get("since")))
    host = note.get("host", "")
    where = f" on {host}" if host and host != socket.gethostname() else ""
    return f"process {note.get('pid', 'unknown')}{where}, since {note.get('since', 'an unknown time')}"


def _locking_process(locked: str) -> int | None:
    """The process of this machine that holds a lock, from Linux's own list; None where it is not listed."""
    try:
        facts = Path(locked).stat()
        wanted = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
        lines = [line.split() for line in LOCKS.read_text().splitlines()]
    except OSError:
        return None
    held = (words for words in lines if len(words) > 5 and words[5] == wanted and words[1] != "->")
    pids = [int(words[4]) for words in held if words[4].isdecimal() and words[4] != "0"]
    return next((pid for pid in pids if pid != os.getpid()), None)
