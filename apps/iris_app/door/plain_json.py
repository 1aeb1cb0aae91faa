"""JSON that may come in: of sane depth, with texts that can be written again."""

from __future__ import annotations

import json

DEEPEST = 32  # objects and lists within each other


def plain_json(text: str | bytes) -> object:
    """Reads JSON.

    Raises:
        ValueError: it is none, is nested too deeply, or holds what no file can hold; the message says so.
    """
    try:
        data = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} deep") from None
    except UnicodeDecodeError:
        raise ValueError("it is not written in UTF-8") from None
    fault = _fault(data)
    if fault:
        raise ValueError(fault)
    return data


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number in JSON")


def _fault(data: object) -> str | None:
    level = [data]
    for _ in range(DEEPEST + 1):
        inner = []
        for part in level:
            if isinstance(part, dict):
                inner += [*part.keys(), *part.values()]
            elif isinstance(part, list):
                inner += part
            elif isinstance(part, str) and any(c == "\0" or "\ud800" <= c <= "\udfff" for c in part):
                return "a text holds NUL or half a character (a lone surrogate)"
            elif isinstance(part, float) and part in (float("inf"), float("-inf")):
                return "a number is too large"
        if not inner:
            return None
        level = inner
    return f"it is nested more than {DEEPEST} deep"
