"""What can be a token: it stands in addresses, headers and cookies as it is."""

from __future__ import annotations

import logging
import re

from iris_core.errors import InputError

log = logging.getLogger(__name__)

TOKEN = re.compile(r"[A-Za-z0-9._~-]{1,200}")
GOOD = 16  # characters; fewer can be guessed


def require_token(text: str, where: str) -> None:
    """Refuses what cannot be a token, and warns of one that is easily guessed.

    Raises:
        InputError: it is empty or holds other characters; the message does not show it.
    """
    if not TOKEN.fullmatch(text) or set(text) <= {"."}:
        raise InputError(
            "this cannot be a token", where=where,
            expected="1 to 200 letters, digits and -._~", remedy="use --token auto",
        )  # fmt: skip
    if len(text) < GOOD:
        log.warning("%s: a token of fewer than %d characters is easily guessed", where, GOOD)
