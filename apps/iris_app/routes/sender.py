"""Who sends a request, as the history of labels names them."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from apps.iris_app.door.users.identity import user_of
from apps.iris_app.history.seen import Sender

LONGEST = 200  # characters of a client's id


def sender_of(request: Request, user: User, params: Mapping[str, object] | None = None) -> Sender:
    """The sender of a request.

    Args:
        request: as it came in.
        user: the host's, which counts only where the host's own login is on.
        params: of the request; Slicer puts its client_id there.
    """
    named = user_of(request.scope) or (user.username if settings.MONAI_LABEL_AUTH_ENABLE else "")
    client = (params or {}).get("client_id") or request.query_params.get("client_id") or ""
    address = request.client.host if request.client else "unknown"
    return Sender.of(named, str(client)[:LONGEST], address)
