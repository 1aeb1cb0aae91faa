"""Pauses: how long to wait until something that failed is tried again; longer after every failure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

FIRST = 2.0  # seconds after the first failure; each further one doubles it
LONGEST = 300.0


@dataclass(frozen=True)
class Pause:
    """How often something failed, until when it rests (monotonic seconds), and why it failed."""

    failures: int
    until: float
    reason: str


class Pauses:
    """Pauses by name.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pauses: dict[str, Pause] = {}
        self._lock = threading.Lock()

    def failed(self, name: str, reason: str = "", times: int = 1) -> int:
        """Notes a failure, or several; gives how often this has failed now."""
        with self._lock:
            known = self._pauses.get(name)
            failures = (known.failures if known else 0) + times
            seconds = min(FIRST * 2.0 ** min(failures - 1, 30), LONGEST)
            self._pauses[name] = Pause(failures, self._clock() + seconds, reason)
            return failures

    def succeeded(self, name: str) -> None:
        """Forgets the failures of one name."""
        with self._lock:
            self._pauses.pop(name, None)

    def waits(self, name: str) -> bool:
        """Whether it is too early to try again."""
        known = self._pauses.get(name)
        return known is not None and self._clock() < known.until

    def end(self) -> None:
        """Lets everything be tried again at once; how often it failed stays known."""
        with self._lock:
            now = self._clock()
            self._pauses = {name: replace(pause, until=now) for name, pause in self._pauses.items()}

    def keep(self, names: set[str]) -> None:
        """Forgets all names but these."""
        with self._lock:
            self._pauses = {name: pause for name, pause in self._pauses.items() if name in names}

    @property
    def reasons(self) -> dict[str, str]:
        """Name -> why it failed last."""
        return {name: pause.reason for name, pause in list(self._pauses.items())}

    @property
    def fewest_failures(self) -> int | None:
        """Of all names; None where there is none."""
        return min((pause.failures for pause in list(self._pauses.values())), default=None)

    @property
    def seconds_left(self) -> float | None:
        """Until the first of them is tried again; None where there is none."""
        ends = [pause.until for pause in list(self._pauses.values())]
        return max(0.0, min(ends) - self._clock()) if ends else None
