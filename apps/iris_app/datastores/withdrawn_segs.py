"""WithdrawnSegs: SEGs of an archive that count no more, because they were replaced or deleted through us.

An archive keeps what it has, and the dates in a SEG come from clocks that may be wrong. So it is noted here
which SEGs have had their day.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from apps.iris_app.lib.state import State, read_json, write_json


class WithdrawnSegs:
    """UIDs of the SEG series that count no more.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self._path = state.root / "withdrawn.json"
        kept = read_json(self._path, [])
        self._uids = set(kept) if isinstance(kept, list) else set()
        self._lock = threading.Lock()

    def has(self, uid: str) -> bool:
        """Whether a SEG counts no more."""
        return uid in self._uids

    def add(self, uids: Iterable[str]) -> None:
        """Notes that SEGs count no more."""
        with self._lock:
            self._write(self._uids | set(uids))

    def remove(self, uid: str) -> None:
        """Lets a SEG count again."""
        with self._lock:
            self._write(self._uids - {uid})

    def _write(self, uids: set[str]) -> None:
        if uids != self._uids:
            write_json(sorted(uids), self._path)
            self._uids = uids
