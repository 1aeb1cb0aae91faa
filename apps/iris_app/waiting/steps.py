"""Steps: the parts of a request that take a thread, a few at a time, so that waiting takes none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

AT_ONCE = 8

T = TypeVar("T")
_POOL = ThreadPoolExecutor(AT_ONCE, "step")


async def in_thread(
    step: Callable[..., T], *args: Any, undo: Callable[[T], object] | None = None, **kwargs: Any
) -> T:
    """Runs a step in a thread and gives what it gives.

    Args:
        step: called with the other arguments.
        args: of the step.
        kwargs: of the step.
        undo: called with what the step gives where nobody takes it, because the request has ended meanwhile.
    """
    future: Future[T] = _POOL.submit(step, *args, **kwargs)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if undo is not None:
            future.add_done_callback(lambda ended: _undone(ended, undo))
        raise


def _undone(ended: Future[T], undo: Callable[[T], object]) -> None:
    if not ended.cancelled() and ended.exception() is None:
        undo(ended.result())
