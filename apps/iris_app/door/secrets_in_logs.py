"""Tokens stay out of every log: whatever a library writes, a token in it becomes ***."""

from __future__ import annotations

import logging
from collections.abc import Iterable

MASK = "***"


def hide_in_logs(tokens: Iterable[str]) -> None:
    """Masks texts in all log records from now on.

    Args:
        tokens: the texts; longer ones are masked first, so that no part of one is left.
    """
    hidden = sorted({*tokens}, key=len, reverse=True)
    if not hidden:
        return
    make = logging.getLogRecordFactory()

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        record.msg = _masked(record.msg, hidden)
        if isinstance(record.args, dict):
            record.args = {key: _masked(value, hidden) for key, value in record.args.items()}
        elif record.args:
            record.args = tuple(_masked(value, hidden) for value in record.args)
        if record.exc_info and record.exc_info[0] is not None:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_text = str(_masked(text, hidden))  # a formatter takes this text where it is set
        return record

    logging.setLogRecordFactory(factory)


def _masked(value: object, hidden: list[str]) -> object:
    """The value itself where no token is in it; numbers stay numbers for formats such as %d."""
    if isinstance(value, int | float | None):
        return value
    text = str(value)
    if not any(token in text for token in hidden):
        return value
    for token in hidden:
        text = text.replace(token, MASK)
    return text
