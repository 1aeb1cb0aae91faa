"""Line: the queue of orders, computed one after the other by a thread of its own.

Requests for the same result are one order. An order that nobody waits for any more is dropped, or stopped
where it is being computed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol

from apps.iris_app.lib.options import Options
from apps.iris_app.waiting.eta import Pace
from apps.iris_app.waiting.order import LeftQueue, Order, Waiter
from iris_core.errors import InputError, PassingError

log = logging.getLogger(__name__)

MOST = 500  # requests that may wait
REST = 60.0  # seconds without an order after which the computer gives its memory back

Windows = Callable[[int, int], None]


class Computer(Protocol):
    """Whatever computes orders, one at a time."""

    def annotate(
        self, study: str, options: Options, progress: Windows | None, wanted: Callable[[], bool]
    ) -> str:
        """Gives the key of the finished result; does nothing where it is not wanted any more."""

    def stop(self) -> None:
        """Stops what is being computed, from another thread."""

    def close(self) -> None:
        """Gives memory back until the next order."""


class Line:
    """The queue.

    Args:
        computer: computes orders.
        known: gives the key of an order's result as of now where that result is there already, else None.
        usual: seconds of a study where they are known from elsewhere.
        rest: seconds without an order after which the computer gives its memory back.
    """

    def __init__(
        self,
        computer: Computer,
        known: Callable[[str, Options], str | None],
        usual: Callable[[], float | None] = lambda: None,
        rest: float = REST,
    ) -> None:
        self._computer, self._known, self._rest = computer, known, rest
        self._pace = Pace(usual)
        self._orders: list[Order] = []  # the first one is being computed, or will be at once
        self._coming: list[Order] = []  # whose references are still being read
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = ""

    def enter(self, study: str, waiter: Waiter) -> None:
        """Gives a request a place before it is known what it waits for.

        Args:
            study: its id.
            waiter: the request.

        Raises:
            PassingError: too many wait already.
            InputError: another request has this id.
            LeftQueue: the server is about to end.
        """
        with self._changed:
            self._admit(waiter)
            self._coming.append(Order(study, Options(), "", [waiter]))

    def join(self, study: str, options: Options, wanted: str, waiter: Waiter) -> Waiter:
        """Lets a request wait for a result. One that has left meanwhile stays away.

        Args:
            study: its id.
            options: of the request.
            wanted: the result's key.
            waiter: the request.

        Raises:
            PassingError: too many wait already.
            InputError: another request has this id.
            LeftQueue: the server is about to end.
        """
        with self._changed:
            if waiter.key.done():
                return waiter
            entered = next((order for order in self._coming if waiter in order.waiters), None)
            if entered is not None:
                self._coming.remove(entered)
            else:
                self._admit(waiter)
            for order in self._orders:
                if order.wanted == wanted and order.options.device == options.device and order.waiters:
                    order.waiters.append(waiter)
                    return waiter
            self._orders.append(Order(study, options, wanted, [waiter]))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="iris-line", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return waiter

    def leave(self, name: str, reason: str) -> bool:
        """Takes a request out of the queue; the others that wait for the same result stay.

        Args:
            name: the request's id.
            reason: a sentence for the one who waits.

        Returns:
            Whether there was such a request.
        """
        with self._changed:
            waiting = [waiter for order in self._all for waiter in order.waiters]
            found = next((waiter for waiter in waiting if waiter.id == name), None)
            return found is not None and self.drop(found, reason)

    def drop(self, waiter: Waiter, reason: str = "") -> bool:
        """Takes this very request out of the queue, where it still waits; another may bear its id by now.

        Args:
            waiter: the request.
            reason: a sentence for the one who waits.

        Returns:
            Whether it waited.
        """
        with self._changed:
            order = next((order for order in self._all if waiter in order.waiters), None)
            if order is None:
                return False
            order.waiters.remove(waiter)
            if waiter.key.set_running_or_notify_cancel():
                waiter.key.set_exception(LeftQueue(reason))
            if order in self._coming:
                self._coming.remove(order)
            elif not order.waiters and order.began is None:
                self._orders.remove(order)
            elif not order.waiters:
                self._computer.stop()
            return True

    def places(self) -> list[dict[str, object]]:
        """Every request that waits, in the order of their answers, in JSON types."""
        with self._changed:
            return [
                self._place(number, waiter)
                for number, order in enumerate(self._all)
                for waiter in order.waiters
            ]

    def place(self, name: str) -> dict[str, object] | None:
        """One request by its id; None where none with this id waits."""
        return next((place for place in self.places() if place["id"] == name), None)

    def close(self, reason: str) -> None:
        """Sends everybody away, for good.

        Args:
            reason: a sentence for those who wait.
        """
        with self._changed:
            self._closed = reason
            for order in self._all:
                order.fail(LeftQueue(reason))
                order.waiters.clear()
            self._orders.clear()
            self._coming.clear()
            self._changed.notify_all()
        self._computer.close()

    @property
    def _all(self) -> list[Order]:
        return self._orders + self._coming

    def _admit(self, waiter: Waiter) -> None:
        """Refuses a request that cannot wait here."""
        if self._closed:
            raise LeftQueue(self._closed)
        waiting = [other for order in self._all for other in order.waiters]
        if len(waiting) >= MOST:
            raise PassingError("Too many requests wait already", found=str(MOST), remedy="ask again later")
        if any(other.id == waiter.id for other in waiting):
            raise InputError("Another request with this id waits already", where=waiter.id)

    def _place(self, number: int, waiter: Waiter) -> dict[str, object]:
        orders = self._all
        order, waits = orders[number], "reading" if number >= len(self._orders) else "waiting"
        return {
            "id": waiter.id,
            "study": order.study,
            "user": waiter.user,
            "state": waits if order.began is None else "computing",
            "position": number + (orders[0].began is None),
            "waited_seconds": round(time.monotonic() - waiter.asked, 1),
            "eta_seconds": self._pace.eta(orders[: number + 1]),
            "windows": list(order.windows) if order.windows else None,
        }

    def _work(self) -> None:
        """Computes orders until the line is closed."""
        while True:
            with self._changed:
                if not self._changed.wait_for(self._due, self._rest):
                    self._computer.close()
                    self._changed.wait_for(self._due)
                if self._closed:
                    return
                order = self._orders[0]
                order.began = time.monotonic()
            outcome = self._computed(order)
            with self._changed:
                if order in self._orders:
                    self._orders.remove(order)
                if isinstance(outcome, str):
                    self._pace.note(time.monotonic() - order.began)
                    order.answer(outcome)
                else:
                    order.fail(outcome)
            del order, outcome  # nothing of an answered request is kept while the line rests

    def _due(self) -> bool:
        return bool(self._orders or self._closed)

    def _computed(self, order: Order) -> str | Exception:
        """The key of an order's result, or why there is none."""

        def progress(done: int, total: int) -> None:
            order.windows = (done, total)

        try:
            known = self._known(order.study, order.options)  # references may have changed while it waited
            if known is not None:
                return known
            return self._computer.annotate(
                order.study, order.options, progress, lambda: bool(order.waiters)
            )
        except Exception as error:  # whatever it is, those who wait learn of it and the next order is begun
            return error
