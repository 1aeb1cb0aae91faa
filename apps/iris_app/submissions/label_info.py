"""The list of names that comes with a submitted label, checked before anything is kept of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from iris_core.errors import InputError

MOST = 1000  # entries
LONGEST = 200  # characters of a name
HIGHEST = 2**31 - 1  # value of a label


def check_label_info(info: Mapping[str, object]) -> None:
    """Refuses names that nobody could read back.

    Args:
        info: what a viewer sends with a label; its label_info is a list of objects with name and idx.

    Raises:
        InputError: label_info is something else; the message says which entry is wrong.
    """
    listed = info.get("label_info")
    if listed is None:
        return
    if not isinstance(listed, list) or len(listed) > MOST:
        found = f"{len(listed)} entries" if isinstance(listed, list) else type(listed).__name__
        raise InputError("label_info is no list of names", expected=f"at most {MOST} objects", found=found)
    for number, entry in enumerate(listed, start=1):
        if not isinstance(entry, dict):
            raise _wrong(number, "an object with name and idx", entry)
        name, value, color = entry.get("name"), entry.get("idx", entry.get("id")), entry.get("color")
        if not isinstance(name, str) or len(name) > LONGEST or _is_unprintable(name):
            raise _wrong(number, f"a name of at most {LONGEST} printable characters", name)
        if not _is_value(value):
            raise _wrong(number, f"an idx that is a whole number from 0 to {HIGHEST}", value)
        if color is not None and not _is_color(color):
            raise _wrong(number, "a color of three or four numbers from 0 to 255", color)


def _is_unprintable(name: str) -> bool:
    return any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name)


def _is_value(value: object) -> bool:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 10:
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= HIGHEST


def _is_color(color: object) -> bool:
    if not isinstance(color, list) or len(color) not in (3, 4):
        return False
    return all(
        isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part <= 255 for part in color
    )


def _wrong(number: int, expected: str, found: object) -> InputError:
    return InputError(
        f"entry {number} of label_info cannot be used", expected=expected, found=str(found)[:40] or "nothing"
    )
