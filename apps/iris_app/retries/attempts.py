"""Attempts: studies whose computing has begun and not ended, noted so that a killed job is remembered.

A job that the system kills for its memory says nothing. The next one finds here which studies it was at.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from apps.iris_app.lib.state import read_json, write_json
from iris_core.errors import IrisError

log = logging.getLogger(__name__)


class Attempts:
    """Begun and unfinished work, by name.

    Args:
        path: of the file that holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = read_json(path, {})
        self._begun: dict[str, int] = dict(kept) if isinstance(kept, dict) else {}
        self._lock = threading.Lock()

    @property
    def unfinished(self) -> dict[str, int]:
        """Name -> how often in a row its work was begun and not ended."""
        return dict(self._begun)

    def begin(self, name: str) -> None:
        """Notes that work begins."""
        with self._lock:
            self._write({**self._begun, name: self._begun.get(name, 0) + 1})

    def end(self, name: str) -> None:
        """Notes that work has ended, well or not."""
        with self._lock:
            if name in self._begun:
                self._write({other: count for other, count in self._begun.items() if other != name})

    def _write(self, begun: dict[str, int]) -> None:
        self._begun = begun
        try:
            write_json(begun, self._path)
        except IrisError as error:  # a full disk must not end the job
            log.warning("what is at work is not noted: %s", error)
