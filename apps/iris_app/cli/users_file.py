"""The file of users: one line `name: token` for each, empty lines and lines after # aside."""

from __future__ import annotations

import logging
import stat
import unicodedata
from pathlib import Path

from apps.iris_app.door.users.tokens import require_token
from iris_core.errors import InputError

log = logging.getLogger(__name__)

LONGEST = 64  # characters of a name


def read_users(path: Path) -> dict[str, str]:
    """Token -> name.

    Raises:
        InputError: no such file, a line that is no `name: token`, a name or token that stands there twice, or
            no user at all. No message shows a token.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise InputError("cannot be read", where=path, expected="a file of lines `name: token`") from error
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("%s can be read by others on this machine: chmod 600 %s", path, path)
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}, line {number}"
        name, colon, token = (part.strip() for part in line.partition(":"))
        if not colon or not _is_name(name):
            raise InputError("is no line `name: token`", where=where)
        require_token(token, where)
        if token in users:
            raise InputError("this token belongs to another user already", where=where)
        if name.casefold() in (known.casefold() for known in users.values()):
            raise InputError(f"{name} stands there twice", where=where)
        users[token] = name
    if not users:
        raise InputError("names no user", where=path, expected="lines `name: token`")
    return users


def _is_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST and not any(unicodedata.category(c).startswith("C") for c in name)
