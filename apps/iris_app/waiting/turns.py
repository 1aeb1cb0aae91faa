"""Turns: heavy work of one kind, a little at a time; who waits for their turn holds no thread meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from fastapi import HTTPException

P = ParamSpec("P")
T = TypeVar("T")


class Turns:
    """The turns of one kind of work. Its threads are taken from no other kind.

    Args:
        at_once: pieces of work that run at the same time.
        most: further ones that may wait; one more is sent away.
    """

    def __init__(self, at_once: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, "turn")
        self._most = at_once + most
        self._taken = 0
        self._changing = threading.Lock()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Does the work in a thread, in its turn, and gives what it gives.

        Raises:
            HTTPException: 503, too many wait already.
        """
        with self._changing:
            if self._taken >= self._most:
                detail = "Too many requests of this kind wait already; nothing was done; ask again later"
                raise HTTPException(503, detail, {"Retry-After": "10"})
            self._taken += 1
        future = self._pool.submit(work, *args, **kwargs)
        future.add_done_callback(self._left)
        return await asyncio.wrap_future(future)

    def later(self, work: Callable[[], object]) -> None:
        """Does the work in its turn; nobody waits for it, and it is never sent away."""
        self._pool.submit(work)

    def _left(self, _: Future) -> None:
        with self._changing:
            self._taken -= 1


IMAGES = Turns(1, 32)  # two large images would need twice the memory
LABELS = Turns(8, 200)
FILES = Turns(8, 2000)  # labels and images that are given; their reading may take long
ARCHIVE = Turns(16, 400)
PIECES = Turns(16, 100_000)  # of answers of an archive; one that is slow holds up no other kind of work
NEXT = Turns(4, 2000)
