"""SharedRun: work that many threads want done, one run for all who ask meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable


class SharedRun:
    """Runs work for several threads.

    Args:
        work: done by one of the threads that ask for it, never by two at the same time.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._changed = threading.Condition()
        self._begun = 0  # runs
        self._done = 0  # the last run that ended well
        self._running = False

    def run(self) -> None:
        """Returns when a run has ended well that began after this call.

        Raises:
            Exception: what the work raises, where this thread did it.
        """
        with self._changed:
            wanted = self._begun + 1
            self._changed.wait_for(lambda: self._done >= wanted or not self._running)
            if self._done >= wanted:
                return
            self._begun += 1
            mine, self._running = self._begun, True
        try:
            self._work()
        except BaseException:
            self._end()
            raise
        self._end(mine)

    def _end(self, done: int = 0) -> None:
        with self._changed:
            self._running = False
            self._done = max(self._done, done)
            self._changed.notify_all()
