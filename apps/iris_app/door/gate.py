"""The gate: a request passes where the list has a line for it, and where it holds what the line says."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.iris_app.door.allowed import ALLOWED, ANY, Allowed, allowed
from apps.iris_app.door.ids import id_fault, tag_fault
from apps.iris_app.door.names_in_body import CLIENT, IDS, TAGS, client_fault, name_fault
from apps.iris_app.door.plain_json import plain_json

LONGEST_VALUE = 2000  # characters of a value in a query
OUTER = {b"cookie", b"origin", b"referer"}  # of no use within


class Gate:
    """Refuses what is not listed.

    Args:
        app: what answers the rest.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._apps = {size: RequestBodyLimitMiddleware(app, size) for size in {a.body for a in ALLOWED}}
        self._lifespan = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 404, 405, 413, 415 or 422, or lets the application answer."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        line, path, methods = _line_of(scope)
        if line is None:
            status, detail = (405, "This path does not take this method") if methods else (404, "Not Found")
            headers = {"Allow": ", ".join(methods)} if methods else None
            await JSONResponse({"detail": detail}, status, headers)(scope, receive, send)
            return
        fault = id_fault(path.rsplit("/", 1)[-1]) if line.id_in_path else None
        fault = fault or _query_fault(scope.get("query_string", b""), line)
        if fault:
            await JSONResponse({"detail": fault}, 422)(scope, receive, send)
            return
        within = {**scope, "path": path, "raw_path": path.encode(), "headers": _public(scope)}
        app: ASGIApp = _JsonOnly(self._apps[line.body]) if line.json else self._apps[line.body]
        await app(within, receive, send)


class _JsonOnly:
    """Reads a body of JSON before the application does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 413, 415 or 422, or lets the application read the same body."""
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > self._app.max_body_size:
                await JSONResponse({"detail": "The request is too large"}, 413)(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        fault = _body_fault(Headers(scope=scope).get("content-type", ""), body)
        if fault:
            await JSONResponse({"detail": fault[1]}, fault[0])(scope, receive, send)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)


def _line_of(scope: Scope) -> tuple[Allowed | None, str, tuple[str, ...]]:
    path, raw = scope["path"], scope.get("raw_path")
    plain = raw is None or raw.split(b"?")[0] == path.encode("utf-8", "surrogatepass")
    if scope["type"] != "http":
        return None, path, ()
    found = allowed(scope["method"], path)
    if not plain and not (found[0] is not None and found[0].id_in_path):  # others need no %-encoding
        return None, path, ()
    return found


def _query_fault(query: bytes, line: Allowed) -> str | None:
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        return "The query cannot be read"
    for name, value in pairs:
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            return "The query holds characters that no text has"
        if line.query == ANY:
            continue
        if name not in line.query:
            return f"This path takes {', '.join(sorted(line.query)) or 'nothing'} in its query"
        if len(value) > LONGEST_VALUE:
            return f"The value of {name} is too long"
        fault = id_fault(value) if name in IDS else tag_fault(value) if name in TAGS and value else None
        fault = client_fault(value) if name == CLIENT else fault
        if fault:
            return f"{name} is refused: {fault}"
    names = [name for name, _ in pairs]
    if line.query != ANY and len({*names}) < len(names):
        return "A name stands twice in the query"
    return None


def _body_fault(kind: str, body: bytes) -> tuple[int, str] | None:
    if not body:
        return None
    if kind.split(";")[0].strip().lower() != "application/json":
        return 415, "The body must be JSON (Content-Type: application/json)"
    try:
        data = plain_json(body)
    except ValueError as error:
        return 422, f"The body must be a JSON object: {error}"
    if data is None:
        return None
    fault = name_fault(data) if isinstance(data, dict) else "The body must be a JSON object"
    return (422, fault) if fault else None


def _public(scope: Scope) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in scope["headers"] if name.lower() not in OUTER]
