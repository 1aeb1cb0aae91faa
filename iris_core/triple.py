"""Triple: three values, one for each axis of space, as a tuple of that length."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def triple(values: Iterable[T]) -> tuple[T, T, T]:
    """Gives three values as a tuple.

    Raises:
        ValueError: there are more, or fewer.
    """
    first, second, third = values
    return first, second, third
