"""Remarks of the readers: what a person should know of a file that is read all the same.

Each one is logged, the first time in a process only, since a run opens a file more than once. Whoever has to
pass the remarks on, as the app does to its viewers, hears all of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import NamedTuple

log = logging.getLogger(__name__)


class Remark(NamedTuple):
    """A sentence about a file."""

    where: object  # the file
    text: str  # goes on after its name, without a full stop


_listeners: ContextVar[tuple[list[Remark], ...]] = ContextVar("listeners", default=())


def remark(where: object, text: str) -> None:
    """Logs a remark on a file once and gives it to all listeners; the text goes on after the file's name."""
    for heard in _listeners.get():
        heard.append(Remark(where, text))
    _log_once(f"{where}: {text}")


@contextmanager
def listening() -> Iterator[list[Remark]]:
    """Gives a list that grows by every remark made inside the block, in this thread."""
    heard: list[Remark] = []
    token = _listeners.set((*_listeners.get(), heard))
    try:
        yield heard
    finally:
        _listeners.reset(token)


def texts(heard: list[Remark], name: str) -> list[str]:
    """Sentences, each once, that begin with a name instead of a path."""
    return list(dict.fromkeys(f"{name}: {one.text}" for one in heard))


@lru_cache(maxsize=4096)
def _log_once(line: str) -> None:
    log.warning("%s", line)
