"""Faults of an archive: whatever a request to it raises may pass."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from iris_core.errors import IrisError, PassingError

log = logging.getLogger(__name__)


@contextmanager
def archive_may_fail() -> Iterator[None]:
    """Turns whatever a request to the archive raises into a fault that may pass."""
    try:
        yield
    except IrisError:
        raise
    except Exception as error:
        log.exception("the archive did not do what was asked")
        raise PassingError(
            "The archive does not answer as it should", found=type(error).__name__, remedy="try again later"
        ) from error
