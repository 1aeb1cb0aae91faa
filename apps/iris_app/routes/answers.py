"""Errors of labels and images as HTTP answers: a sentence without any path of the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import Response
from monailabel.interfaces.exception import ImageNotFoundException

from apps.iris_app.door.faults import detail_of, is_full
from apps.iris_app.submissions.submissions import Superseded
from iris_core.errors import InputError, PassingError


@contextmanager
def label_errors(what: str, name: str = "") -> Iterator[None]:
    """Turns errors into answers.

    Args:
        what: did not happen, such as "The label is not saved".
        name: stands in place of the file's path.

    Raises:
        HTTPException: 404, no such study; 412, another label is there than was expected; 422, the label is
            refused; 503, a fault that may pass; 507, the disk is full.
    """
    try:
        yield
    except ImageNotFoundException as error:
        raise HTTPException(404, f"{what}: the study has just been removed") from error
    except Superseded as error:
        raise HTTPException(412, f"{what}: {error}") from error
    except PassingError as error:
        status, _ = detail_of(error)
        raise HTTPException(status, f"{what}: {_told(error, '')}") from error
    except InputError as error:
        raise HTTPException(422, f"{what}: {_told(error, name)}") from error
    except OSError as error:
        said = f"{what}: {error.strerror or 'a fault of the disk'}"
        raise HTTPException(507 if is_full(error) else 503, said) from error


async def with_reason(request: Request, error: HTTPException) -> Response:
    """The answer to an error, also where the framework calls a full disk a mistake of the client.

    It puts a large file that is sent into the temporary folder before any route of ours is asked.
    """
    if is_full(error.__cause__):
        status, detail = detail_of(error.__cause__)
        error = HTTPException(status, detail)
    return await http_exception_handler(request, error)


def _told(error: InputError, name: str) -> InputError:
    """The same error, with a name in place of a path."""
    return InputError(
        error.what, where=name or None, expected=error.expected, found=error.found, remedy=error.remedy
    )
