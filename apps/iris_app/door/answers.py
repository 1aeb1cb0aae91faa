"""What every answer has: headers that keep browsers careful, no path of the server's disk, no bare 500."""

from __future__ import annotations

import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.iris_app.door.faults import FAILED, detail_of
from apps.iris_app.door.server_paths import ServerPaths

log = logging.getLogger(__name__)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
TEXTS = ("application/json", "text/plain", "text/html")


class Answers:
    """Completes the answers of an application.

    Args:
        app: what answers.
        paths: the folders that no answer shows.
    """

    def __init__(self, app: ASGIApp, paths: ServerPaths) -> None:
        self._app, self._paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets the application answer, and answers in its place where it fails before it has begun."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no route of ours is a websocket
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        answer = _Answer(send, self._paths, is_viewer=scope["path"].startswith("/ohif/"))
        try:
            await self._app(scope, receive, answer.send)
            status, detail = 500, FAILED
        except Exception as error:
            if answer.begun:
                raise
            status, detail = detail_of(error)
            if status >= 500:
                log.exception("%s %s failed", scope["method"], scope["path"])
        if answer.held or not answer.begun:
            answer.held = None
            await JSONResponse({"detail": detail}, status)(scope, receive, answer.send)


class _Answer:
    """One answer on its way: texts are held back until they are whole, failures until they are explained."""

    def __init__(self, send: Send, paths: ServerPaths, is_viewer: bool) -> None:
        self._send, self._paths, self._is_viewer = send, paths, is_viewer
        self.begun = False
        self.held: Message | None = None
        self._text = b""

    async def send(self, message: Message) -> None:
        """Passes one message on, at once or with the last of its text."""
        if message["type"] == "http.response.start":
            self._complete(message)
            kind = Headers(raw=message["headers"]).get("content-type", "").split(";")[0]
            if kind in TEXTS:
                self.held, self._text = message, b""
                return
        elif self.held is not None:
            self._text += message.get("body", b"")
            if message.get("more_body") or self._is_explained_later():
                return
            start, text = self.held, self._paths.without(self._text)
            MutableHeaders(scope=start)["content-length"] = str(len(text))
            self.held, self.begun = None, True
            await self._send(start)
            await self._send({"type": "http.response.body", "body": text})
            return
        self.begun = True
        await self._send(message)

    def _is_explained_later(self) -> bool:
        """Whether this is the host's own word for a failure, which it raises right after."""
        return self.held is not None and self.held["status"] == 500 and self._text == b"Internal Server Error"

    def _complete(self, message: Message) -> None:
        message["headers"] = list(message.get("headers", []))
        headers = MutableHeaders(scope=message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "private, no-cache" if self._is_viewer else "no-store")
