"""Class names from the command line: separated by commas, though a name may hold commas itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from iris_core.volume.name_list import joined, read_names


def split_names(text: str) -> tuple[str, ...]:
    """Reads "a,b"; a name in double quotes, or a comma behind a backslash, is not cut.

    Raises:
        InputError: a quote is not closed.
    """
    return tuple(read_names(text.replace("\n", " ")))


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
    found = [spelled.get(_spelled(name)) for name in joined(words, lambda name: _spelled(name) in spelled)]
    names = [name for name in found if name is not None]
    return tuple(dict.fromkeys(names)) if len(names) == len(found) else tuple(words)


def _spelled(name: str) -> str:
    """A name without blanks around its commas."""
    return ",".join(part.strip() for part in name.split(","))
