"""Order: one study with its options, computed once for all who wait for it."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field

from apps.iris_app.lib.options import Options
from iris_core.errors import IrisError


class LeftQueue(IrisError):
    """A request was taken out of the queue before it was answered; the message says by what."""


@dataclass(eq=False)
class Waiter:
    """One request that waits.

    Attributes:
        user: who sent it; "" where the server asks for no names.
        id: by which the request can be looked at and taken out of the queue.
        asked: when it came, seconds of the monotonic clock.
        key: of the result, once it is there; a LeftQueue or an InputError where it will never be.
    """

    user: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    asked: float = field(default_factory=time.monotonic)
    key: Future[str] = field(default_factory=Future)


@dataclass(eq=False)
class Order:
    """What is computed.

    Attributes:
        study: its id.
        options: of the request.
        wanted: the key of the result as of the time when the first request came.
        waiters: all who want it, at least one.
        began: when its computing began, seconds of the monotonic clock; None while it waits.
        windows: of the study, done and in all; None until that is known.
    """

    study: str
    options: Options
    wanted: str
    waiters: list[Waiter]
    began: float | None = None
    windows: tuple[int, int] | None = None

    def answer(self, key: str) -> None:
        """Tells everybody that the result is there."""
        for waiter in self.waiters:
            if waiter.key.set_running_or_notify_cancel():
                waiter.key.set_result(key)

    def fail(self, error: Exception) -> None:
        """Tells everybody that there will be no result."""
        for waiter in self.waiters:
            if waiter.key.set_running_or_notify_cancel():
                waiter.key.set_exception(error)
