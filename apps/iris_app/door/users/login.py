"""The login: with tokens set, every request shows one, in a header, a cookie or the beginning of its path."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from html import escape
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from apps.iris_app.door.users.identity import USER_KEY

COOKIE = "iris_token"
PREFIX = "/t/"  # of a path: /t/TOKEN/info/
ASK = (
    "This server asks for a token: open its address with /?token=TOKEN in a browser, enter "
    "HOST:PORT/t/TOKEN as the server in Slicer, or send the header Authorization: Bearer TOKEN"
)


class Login:
    """Lets those in who show a token, and notes their name in the scope.

    Args:
        app: what answers them; it sees neither the token nor the prefix of the path.
        tokens: token -> name of its user; empty where nobody has to log in.
    """

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str]) -> None:
        self._app, self._tokens = app, dict(tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 401, sets the cookie, or lets the application answer."""
        if scope["type"] == "lifespan" or not self._tokens:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _in_query(scope):
            name = self._name_of(_in_query(scope))
            response: Response = _refusal(headers) if name is None else _welcome(scope)
            await response(scope, receive, send)
            return
        if scope["path"].startswith(PREFIX):
            token, scope = _without_prefix(scope)
            name = self._name_of(token)
        else:
            shown = [_bearer(value) for value in headers.getlist("authorization")]
            shown += [token for value in headers.getlist("cookie") for token in _cookies(value)]
            name = next((n for n in map(self._name_of, filter(None, shown)) if n is not None), None)
        if name is None:
            await _refusal(headers)(scope, receive, send)
            return
        rest = [(n, value) for n, value in scope["headers"] if n.lower() not in (b"authorization", b"cookie")]
        await self._app({**scope, USER_KEY: name, "headers": rest}, receive, send)

    def _name_of(self, token: str) -> str | None:
        """The user of a token; every token is compared to its end, so the time taken tells nothing."""
        given, found = token.encode("utf-8", "surrogatepass"), None
        for known, name in self._tokens.items():
            if hmac.compare_digest(known.encode(), given):
                found = name
        return found


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _cookies(cookies: str) -> list[str]:
    """Every value of our cookie; a server at another port of this machine may have set one, too."""
    return [cookie_parser(part).get(COOKIE, "") for part in cookies.split(";")]


def _in_query(scope: Scope) -> str:
    """The token of a page that is opened for the first time; "" where there is none."""
    is_page = scope.get("method") == "GET" and (scope["path"] == "/" or scope["path"].startswith("/ohif/"))
    return dict(_query(scope)).get("token", "") if is_page else ""


def _query(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _welcome(scope: Scope) -> Response:
    """Sets the cookie and leads to the same page without the token in its address."""
    token = _in_query(scope)
    rest = urlencode([(name, value) for name, value in _query(scope) if name != "token"])
    response = RedirectResponse(quote(scope["path"]) + (f"?{rest}" if rest else ""), 303)
    secure = scope.get("scheme") == "https"
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path="/")
    return response


def _without_prefix(scope: Scope) -> tuple[str, Scope]:
    token, slash, rest = scope["path"].removeprefix(PREFIX).partition("/")
    raw = scope.get("raw_path")
    within = {**scope, "path": slash + rest or "/"}
    if raw is not None:
        within["raw_path"] = b"/" + b"/".join(raw.split(b"?")[0].split(b"/")[3:])
    return token, within


def _refusal(headers: Headers) -> Response:
    challenge = {"WWW-Authenticate": "Bearer"}
    if "text/html" in headers.get("accept", ""):
        page = f"<!doctype html><title>Iris</title><p>{escape(ASK)}.<p><a href='/'>Try again</a>"
        return HTMLResponse(page, 401, challenge)
    return JSONResponse({"detail": ASK}, 401, challenge)
