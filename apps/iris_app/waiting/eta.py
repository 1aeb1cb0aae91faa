"""How long orders will take, from how long the last ones took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from apps.iris_app.waiting.order import Order

REMEMBERED = 10  # orders


class Pace:
    """The seconds that an order takes.

    Args:
        usual: the seconds of a study as far as they are known from elsewhere, for the time before the first
            order.
    """

    def __init__(self, usual: Callable[[], float | None] = lambda: None) -> None:
        self._usual = usual
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """Remembers how long an order took."""
        self._seconds.append(seconds)

    @property
    def mean(self) -> float | None:
        """Seconds of an order; None while nothing is known."""
        return sum(self._seconds) / len(self._seconds) if self._seconds else self._usual()

    def left(self, order: Order) -> float | None:
        """Seconds until an order is done, from when it is begun or, where it has begun, from now."""
        mean = self.mean
        if order.began is None:
            return mean
        elapsed = time.monotonic() - order.began
        done, total = order.windows or (0, 0)
        if done:
            return elapsed * (total - done) / done
        return None if mean is None else max(0.0, mean - elapsed)

    def eta(self, orders: Sequence[Order]) -> float | None:
        """Seconds until the last of these orders is done when they are computed one after the other."""
        parts = [self.left(order) for order in orders]
        known = [part for part in parts if part is not None]
        return round(sum(known), 1) if len(known) == len(parts) else None
