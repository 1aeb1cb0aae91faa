"""Who sends a request, as the door has found out."""

from __future__ import annotations

from collections.abc import Mapping

USER_KEY = "iris_user"  # in the ASGI scope


def user_of(scope: Mapping[str, object]) -> str:
    """The name of the user who sends a request; "" where the server asks for no names.

    Args:
        scope: of the ASGI request (`request.scope` in a route).
    """
    name = scope.get(USER_KEY, "")
    return name if isinstance(name, str) else ""
