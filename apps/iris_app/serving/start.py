"""The end of a start that cannot succeed: one sentence, and the status of a user's mistake."""

from __future__ import annotations

import asyncio
import sys

from starlette.types import Receive, Send

from iris_core.errors import InputError

BAD_INPUT = 2  # as the command line ends with it; uvicorn's own status says nothing of the reason


async def end_with(error: InputError, receive: Receive, send: Send) -> None:
    """Ends the serving process before it serves.

    Args:
        error: why it cannot serve.
        receive: of the ASGI lifespan.
        send: of the ASGI lifespan.
    """
    await receive()
    print(f"iris serve: error: {error}", file=sys.stderr, flush=True)
    asyncio.get_running_loop().call_soon(sys.exit, BAD_INPUT)
    await send({"type": "lifespan.startup.failed"})
