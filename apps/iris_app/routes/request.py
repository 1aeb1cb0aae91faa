"""What several routes need of a request: the host's users, and options that are a JSON object."""

from __future__ import annotations

from fastapi import Depends, File, HTTPException
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC

from apps.iris_app.door.plain_json import plain_json

PREFIX = settings.MONAI_LABEL_API_STR
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
NO_FILE = File(None)


def json_object(params: str) -> dict:
    """The options of a request.

    Raises:
        HTTPException: 422, they are no JSON object; the host itself would fail.
    """
    try:
        given = plain_json(params or "{}")
    except ValueError as error:
        raise HTTPException(422, f"params must be a JSON object: {error}") from error
    if not isinstance(given, dict):
        raise HTTPException(422, f"params must be a JSON object, found {params[:40]}")
    return given
