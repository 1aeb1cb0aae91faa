"""What a failure within the server becomes for the client: a status and one sentence."""

from __future__ import annotations

import errno

from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelException,
)
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from iris_core.errors import IrisError, PassingError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_ROOM = "The server has no room left on a disk; nothing is saved; make room, then ask again"
FAILED = "The server failed at this request; its log holds the reason"


def detail_of(error: Exception) -> tuple[int, str]:
    """Status and sentence for an exception that nobody has turned into an answer."""
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return 404, "The datastore has no such image or label"
    if isinstance(error, PassingError):
        return (507 if is_full(error.__cause__) else 503), str(error)
    if is_full(error):
        return 507, NO_ROOM
    if isinstance(error, MONAILabelException):
        return 422, error.msg
    if isinstance(error, IrisError):
        return 422, str(error)
    if isinstance(error, ClientDisconnect):
        return 400, "The request ended early"
    if isinstance(error, RuntimeError) and "is not a file" in str(error):  # a folder is asked for as a file
        return 404, "Not Found"
    if isinstance(error, UnicodeError | RecursionError):
        return 422, "The request holds text that cannot be read"
    return 500, FAILED


def is_full(error: BaseException | None) -> bool:
    """Whether a disk has no room left, a quota is used up, or a file may not grow any more."""
    return isinstance(error, OSError) and error.errno in FULL
