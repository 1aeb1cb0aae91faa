"""What several routes need of a request: the host's users, and options that are a JSON object."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Depends, File, HTTPException, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC

from apps.iris_app.door.names_in_body import name_fault
from apps.iris_app.door.plain_json import plain_json

PREFIX = settings.MONAI_LABEL_API_STR
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
NO_FILE = File(None)
MOST_FILES, MOST_FIELDS = 2, 20  # parts of a form; each file takes up to a megabyte of memory
LONGEST = 1 << 18  # characters of options, which are kept with a label


class FewParts(APIRoute):
    """A route whose forms have no more parts than it reads."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The host's handler, before which the form is read."""
        handler = super().get_route_handler()

        async def limited(request: Request) -> Response:
            if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
                await _read_form(request)
            return await handler(request)

        return limited


async def _read_form(request: Request) -> None:
    try:
        await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS)
    except (HTTPException, OSError):  # a full disk, say, is no fault of the form
        raise
    except Exception as error:  # whatever a library says of a broken form, or of one that ends early
        raise HTTPException(400, "The form cannot be read") from error


def json_object(params: str) -> dict:
    """The options of a request.

    Raises:
        HTTPException: 422, they are no JSON object, or a name in them cannot be one.
    """
    if len(params) > LONGEST:
        raise HTTPException(422, f"params must have at most {LONGEST} characters, found {len(params)}")
    try:
        given = plain_json(params or "{}")
    except ValueError as error:
        raise HTTPException(422, f"params must be a JSON object: {error}") from error
    if not isinstance(given, dict):
        raise HTTPException(422, f"params must be a JSON object, found {params[:40]}")
    fault = name_fault(given)
    if fault:
        raise HTTPException(422, fault)
    return given
