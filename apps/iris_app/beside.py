"""Beside: runs each request of an ASGI application in a thread, with an event loop of its own.

The host's routes are coroutines that read files, ask archives and wait for locks without ever letting the
event loop go on. Here such a route keeps nobody waiting but the one who asked for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

MOST = 64  # requests at once; one more waits for its turn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class Beside:
    """An ASGI application that runs another one in threads.

    Args:
        application: whose requests go into threads; its start and its end stay in the event loop.
        most: requests at once.
    """

    def __init__(self, application: Application, most: int = MOST) -> None:
        self._application = application
        self._pool = ThreadPoolExecutor(most, "beside")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers a request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        loop = asyncio.get_running_loop()

        first: list[Message] = [await receive()]  # here, since each way between two threads takes its time
        head: list[Message] = []

        async def receive_here() -> Message:
            return await receive()

        async def receive_there() -> Message:
            if first:
                return first.pop()
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(receive_here(), loop))

        async def send_here(messages: list[Message]) -> None:
            for message in messages:
                await send(message)

        async def send_there(message: Message) -> None:
            head.append(message)
            if message["type"] == "http.response.start":  # it goes with what follows
                return
            messages = head.copy()
            head.clear()
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(send_here(messages), loop))

        async def answer() -> None:
            await self._application(scope, receive_there, send_there)

        await loop.run_in_executor(self._pool, lambda: asyncio.run(answer()))
