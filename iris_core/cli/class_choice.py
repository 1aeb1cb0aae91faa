"""Class names from the command line: separated by commas, though a name may hold commas itself."""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence


def split_names(text: str) -> tuple[str, ...]:
    """Reads "a,b"; a name in double quotes, or a comma behind a backslash, is not cut."""
    rows = csv.reader([text.replace("\n", " ")], skipinitialspace=True, escapechar="\\")
    return tuple(dict.fromkeys(word.strip() for row in rows for word in row if word.strip()))


def chosen_names(words: Sequence[str] | None, known: Collection[str]) -> tuple[str, ...] | None:
    """Puts together again what was cut at a comma inside a name.

    Args:
        words: as typed, cut at commas; None: all classes.
        known: the names that there are.

    Returns:
        Known names that together use up all words, single words first; the words themselves where there are
        no such names, so that whoever checks them can name what is unknown.
    """
    if words is None:
        return None
    spelled = {_spelled(name): name for name in known}
    found = _from(0, [_spelled(word) for word in words], spelled)
    return tuple(words) if found is None else tuple(dict.fromkeys(found))


def _from(start: int, words: Sequence[str], spelled: dict[str, str]) -> list[str] | None:
    """Names that use up the words from one on; None where there are none."""
    if start == len(words):
        return []
    for end in range(start + 1, len(words) + 1):
        name = spelled.get(",".join(words[start:end]))
        rest = _from(end, words, spelled) if name is not None else None
        if name is not None and rest is not None:
            return [name, *rest]
    return None


def _spelled(name: str) -> str:
    """A name without blanks around its commas."""
    return ",".join(part.strip() for part in name.split(","))
