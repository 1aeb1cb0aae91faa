"""FolderLock: the system's lock on a folder itself. Nothing is written, so a read-only folder takes it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import ModuleType

from filelock import Timeout

PAUSE = 0.05  # seconds between two tries


class FolderLock:
    """A lock that the system gives back when the process ends, however it ends.

    It belongs to the folder and not to a path: links to the folder and other mounts of it share the lock.

    Args:
        folder: exists.
    """

    def __init__(self, folder: Path) -> None:
        self.lock_file = str(folder)
        self._descriptor: int | None = None

    def acquire(self, timeout: float) -> None:
        """Takes the lock.

        Args:
            timeout: seconds to try.

        Raises:
            Timeout: another process has it.
            OSError: this file system, or this operating system, has no such lock.
        """
        try:
            import fcntl
        except ImportError as error:
            raise OSError("no locks on folders") from error
        descriptor, end = os.open(self.lock_file, os.O_RDONLY), time.monotonic() + timeout
        try:
            while not _taken(fcntl, descriptor):
                if time.monotonic() >= end:
                    raise Timeout(self.lock_file)
                time.sleep(PAUSE)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Gives the lock back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _taken(fcntl: ModuleType, descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
