"""Lookout: looks at the datastore, one look for all who ask meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

log = logging.getLogger(__name__)


class Lookout:
    """Shares looks between the requests of one event loop.

    Args:
        look: looks, in a thread; it may take as long as a large label takes to read.
    """

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._pool = ThreadPoolExecutor(1, "lookout")
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Returns when a look has ended that began after this call."""
        if self._next is None:
            self._next = asyncio.create_task(self._begin())
        await asyncio.shield(self._next)

    async def _begin(self) -> None:
        async with self._turn:
            self._next = None  # whoever asks from now on needs a look that begins later
            try:
                await asyncio.get_running_loop().run_in_executor(self._pool, self._look)
            except Exception:  # a datastore that is away for a moment: what is known of it still holds
                log.warning("looking at the datastore failed", exc_info=True)
