"""The origins whose pages may use the server: its own, and those that `--allow-origin` names."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

METHODS = ("GET", "POST", "PUT", "DELETE")
ASKED = ("Authorization", "If-Match", "Iris-Request")  # headers of ours that their pages may send
ANSWERED = ("ETag", "Iris-Warnings")  # and read
PORTS = {"http": 80, "https": 443}


class Origins:
    """Refuses requests that pages of other origins send.

    A browser names the page's origin in `Origin`; where it does not (an image, a link), `Sec-Fetch-Site` says
    whether the page is another one, and so does `Referer` where something is to change. Opening a page of
    ours by a link is no request of the other page.

    Args:
        app: what answers the rest.
        others: further origins that may use the server.
    """

    def __init__(self, app: ASGIApp, others: Sequence[str]) -> None:
        self._others = {*others}
        self._own = app
        self._cors = CORSMiddleware(
            app, allow_origins=list(others), allow_methods=METHODS, allow_headers=ASKED,
            expose_headers=ANSWERED, allow_credentials=True,
        )  # fmt: skip

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 403, answers what a browser asks beforehand, or lets the application answer."""
        if scope["type"] == "lifespan":
            await self._own(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.getlist("origin")
        if len(given) == 1 and given[0] in self._others:
            await self._cors(scope, receive, send)
        elif given and (len(given) > 1 or not _is_same(given[0], scope, headers.get("host", ""))):
            await _refuse(scope, receive, send)
        elif not given and _is_of_another_page(scope, headers):
            await _refuse(scope, receive, send)
        else:
            await self._own(scope, receive, send)


def _is_same(origin: str, scope: Scope, host: str) -> bool:
    scheme = scope.get("scheme", "http")
    return _parts(origin) is not None and _parts(origin) == _parts(f"{scheme}://{host}")


def _parts(origin: str) -> tuple[str, str, int | None] | None:
    try:
        url = urlsplit(origin)
        if url.path or url.query or url.fragment or "@" in url.netloc or not url.hostname:
            return None
        return url.scheme, url.hostname, url.port or PORTS.get(url.scheme)
    except ValueError:
        return None


def _is_of_another_page(scope: Scope, headers: Headers) -> bool:
    if scope.get("method") != "GET" and "referer" in headers and not _is_referred(scope, headers):
        return True
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (is_link and scope.get("method") == "GET")


def _is_referred(scope: Scope, headers: Headers) -> bool:
    """Whether the page that a request names as its own is one of this server."""
    try:
        page = urlsplit(headers["referer"])
    except ValueError:
        return False
    return _is_same(f"{page.scheme}://{page.netloc}", scope, headers.get("host", ""))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    detail = "Pages of another origin may not use this server, unless `iris serve --allow-origin` names it"
    await JSONResponse({"detail": detail}, 403)(scope, receive, send)
