"""OHIF's field for the server's address: its plugin takes it from a cookie, and else guesses port 8000."""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "MONAILABEL_SERVER_URL"  # the plugin's own; scripts of the page read it
FOLDER = "/ohif"


class ServerAddress:
    """Sends the cookie along with each page of the viewer.

    Args:
        app: what answers; the door has looked at the `Host` of the request already.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the application answer, and adds the cookie to a page."""
        if scope["type"] != "http" or not scope["path"].startswith(f"{FOLDER}/"):
            await self._app(scope, receive, send)
            return
        address = f"{scope.get('scheme', 'http')}://{Headers(scope=scope).get('host', '')}/"

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("content-type", "").startswith("text/html"):
                    cookie = f"{COOKIE}={quote(address, safe='/')}; Path={FOLDER}; SameSite=Strict"
                    headers.append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, add)
