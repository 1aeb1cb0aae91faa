"""Lists of names as people write them: separated by commas, with quotes around a name that holds a comma.

One parser serves the command line's `--classes` and the server's options.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from iris_core.errors import InputError

QUOTE = '"'
IN_QUOTES = re.compile(r'\s*"((?:[^"]|"")*)"(?!")([^,]*),?')  # what lies in quotes, and what follows them
PLAIN = re.compile(r'(?!\s*")((?:\\,(?!$)|[^,])*),?')  # up to the next comma without a backslash before it
MOST_PARTS = 16  # of a name that holds commas and stands without quotes


def read_names(
    given: str | Sequence[object] | None, known: Callable[[str], bool] = lambda _: False
) -> list[str]:
    r"""The names of a list, each once, in the order in which they are given.

    Args:
        given: text such as `liver, "lobe, left"` or `liver, lobe\, left`, in which a quote within quotes is
            written twice; or the names one by one, as a repeated option or a JSON list gives them.
        known: whether a name can be chosen. With it `lobe, left` needs no quotes, unless its parts are names
            themselves.

    Raises:
        InputError: a quote is not closed, or text follows it.
    """
    if given is None:
        return []
    if not isinstance(given, str):
        return list(dict.fromkeys(word for word in (str(name).strip() for name in given) if word))
    names: list[str] = []
    run: list[str] = []  # parts without quotes that stand side by side
    for part, quoted in _parts(given):
        if quoted:
            names += joined(run, known)
            names.append(part)
            run = []
        else:
            run.append(part)
    names += joined(run, known)
    return list(dict.fromkeys(name for name in (name.strip() for name in names) if name))


def write_names(names: Sequence[str]) -> str:
    """The text from which `read_names` reads these names."""
    return ", ".join(_quoted(name) if "," in name or name.startswith(QUOTE) else name for name in names)


def _quoted(name: str) -> str:
    return QUOTE + name.replace(QUOTE, QUOTE * 2) + QUOTE


def _parts(text: str) -> list[tuple[str, bool]]:
    """(part, whether it stood in quotes) between the commas outside quotes."""
    parts: list[tuple[str, bool]] = []
    place = 0
    while place < len(text):
        if quoted := IN_QUOTES.match(text, place):
            if between := quoted[2].strip():
                raise InputError("Text follows a closed quote", where=text[:80], found=between[:40])
            parts.append((quoted[1].replace(QUOTE * 2, QUOTE), True))
            place = quoted.end()
        elif plain := PLAIN.match(text, place):
            parts.append((plain[1].replace("\\,", ","), False))
            place = plain.end()
        else:
            raise InputError("A quote is not closed", where=text[:80], remedy='write "lobe, left", liver')
    return parts


def joined(run: Sequence[str], known: Callable[[str], bool]) -> list[str]:
    """Parts, joined where only together they are known.

    Args:
        run: what stands between commas.
        known: whether a name is known; blanks around its commas are as they are typed.

    Returns:
        As few unknown names as possible, and then as many names as possible.
    """
    best: list[tuple[int, int, int]] = [(0, 0, 0)]  # (minus unknown, names, begin of the last) of n parts
    for end in range(1, len(run) + 1):
        ways = []
        for start in range(max(0, end - MOST_PARTS), end):
            unknown, count, _ = best[start]
            name = ",".join(run[start:end]).strip()
            if known(name):
                ways.append((unknown, count + 1, start))
            elif start == end - 1:
                ways.append((unknown - bool(name), count + 1, start))
        best.append(max(ways, key=lambda way: way[:2]))
    names, end = [], len(run)
    while end:
        start = best[end][2]
        names.append(",".join(run[start:end]).strip())
        end = start
    return names[::-1]
