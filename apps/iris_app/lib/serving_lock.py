"""One server for each datastore: a lock in the state folder, held as long as the serving process lives."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from filelock import FileLock, Timeout

from apps.iris_app.lib.state import State, read_json, write_json
from iris_core.errors import InputError

PATIENCE = 3.0  # seconds in which another start may look at the lock


class ServingLock:
    """The right to serve a datastore.

    The system gives the lock back when the process ends, however it ends. It must be taken by the process
    that serves: one that is taken before another program takes the process over is lost.

    Args:
        state: of the datastore.
    """

    def __init__(self, state: State) -> None:
        logging.getLogger("filelock").setLevel(logging.WARNING)  # it reports every step
        self._lock = FileLock(state.root / "serve.lock")
        self._holder = Path(state.root / "serve.json")

    def acquire(self) -> None:
        """Takes the lock and notes who holds it.

        Raises:
            InputError: another server has it; the message names its process.
        """
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise self._refusal() from error
        write_json({"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}, self._holder)

    def require_free(self) -> None:
        """Looks whether the lock can be taken, without keeping it.

        Raises:
            InputError: another server has it.
        """
        try:
            with self._lock.acquire(timeout=0):
                pass
        except Timeout as error:
            raise self._refusal() from error

    def release(self) -> None:
        """Gives the lock back."""
        self._lock.release()

    def _refusal(self) -> InputError:
        holder = read_json(self._holder, {})
        return InputError(
            "These studies are being served already",
            where=self._holder.parent,
            found=f"process {holder.get('pid', 'unknown')}, since {holder.get('since', 'an unknown time')}",
            remedy="use that server, or end it first",
        )
