"""The names the server answers to. A page that reaches it under another name (DNS rebinding) gets nothing."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.iris_app.door.settings import LOOPBACK

PORT = re.compile(r":[0-9]{1,5}\Z")


class Hosts:
    """Refuses requests whose `Host` is not the server's.

    This machine's own names and `names` are; so is the address that the client has connected to, since no
    foreign page can have that as its name.

    Args:
        app: what answers the rest.
        names: further names and addresses, IPv6 in brackets.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._named = TrustedHostMiddleware(app, [*LOOPBACK, *names], www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 400, or lets the application answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name.lower() == b"host"]
        if len(given) != 1:
            await JSONResponse({"detail": "A request names its host once"}, 400)(scope, receive, send)
        elif _is_own_address(given[0].decode("latin-1"), scope.get("server")):
            await self._app(scope, receive, send)
        else:
            await self._named(scope, receive, send)


def _is_own_address(host: str, server: tuple[str, int | None] | None) -> bool:
    if not server:
        return False
    try:
        address = ipaddress.ip_address(server[0].split("%")[0])
    except ValueError:
        return False
    literal = f"[{address}]" if address.version == 6 else str(address)
    return PORT.sub("", host) == literal
