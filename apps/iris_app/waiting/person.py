"""The end of a request that nobody waits for any more: its client has gone, or its time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

T = TypeVar("T")


class TimeIsUp(Exception):
    """The time limit of a request has passed."""


class ClientGone(Exception):
    """The client has closed its connection."""


async def while_wanted(work: Coroutine[Any, Any, T], request: Request, limit: float | None = None) -> T:
    """Does the work of a request for as long as somebody waits for it.

    Args:
        work: cancelled where nobody does.
        request: whose body has been read.
        limit: seconds; None for no limit.

    Raises:
        TimeIsUp: the limit has passed.
        ClientGone: there is nobody to answer.
    """
    doing, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({doing, gone}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            return doing.result()
        raise ClientGone if gone.done() else TimeIsUp
    finally:
        for task in (doing, gone):
            task.cancel()
        await asyncio.wait({doing, gone})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
