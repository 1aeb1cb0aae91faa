"""Paths of the server's disk: in an answer each one is cut down to what lies within a known folder."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

CODE = Path(__file__).resolve().parents[3]


class ServerPaths:
    """Takes the server's folders out of texts.

    Args:
        folders: of studies, state and the like; Python's, the temporary and the user's own are known.
    """

    def __init__(self, folders: Iterable[str | Path]) -> None:
        known = [CODE, Path(sys.prefix), Path(sys.base_prefix), Path(tempfile.gettempdir()), Path.home()]
        given = [Path(f) for f in folders if f and not str(f).startswith(("http://", "https://"))]
        roots = {str(form) for path in [*known, *given] for form in (path, path.absolute(), path.resolve())}
        longest = sorted((r for r in roots if r.startswith("/") and len(r) > 1), key=len, reverse=True)
        words = "|".join(re.escape(root) for root in longest)
        self._pattern = re.compile(rf"(?<![\w.~/-])(?:{words})(?:/|(?![\w.-]))".encode())

    def without(self, text: bytes) -> bytes:
        """The text with every path given from its folder on; a folder itself becomes "."."""
        return self._pattern.sub(lambda found: b"" if found[0].endswith(b"/") else b".", text)
