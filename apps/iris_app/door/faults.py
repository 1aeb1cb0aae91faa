"""What a failure within the server becomes for the client: a status and one sentence."""

from __future__ import annotations

from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelException,
)
from starlette.exceptions import HTTPException

from iris_core.errors import IrisError

FAILED = "The server failed at this request; its log holds the reason"


def detail_of(error: Exception) -> tuple[int, str]:
    """Status and sentence for an exception that nobody has turned into an answer."""
    if isinstance(error, HTTPException):
        return error.status_code, str(error.detail)
    if isinstance(error, ImageNotFoundException | LabelNotFoundException):
        return 404, "The datastore has no such image or label"
    if isinstance(error, MONAILabelException):
        return 422, error.msg
    if isinstance(error, IrisError):
        return 422, str(error)
    if isinstance(error, RuntimeError) and "is not a file" in str(error):  # a folder is asked for as a file
        return 404, "Not Found"
    if isinstance(error, UnicodeError | RecursionError):
        return 422, "The request holds text that cannot be read"
    return 500, FAILED
