"""A warning about a file, logged the first time only: a run opens a file more than once."""

from __future__ import annotations

import logging
from functools import lru_cache

log = logging.getLogger(__name__)


@lru_cache(maxsize=4096)
def warn_once(message: str) -> None:
    """Logs a warning; the same words are logged once in a process."""
    log.warning("%s", message)
