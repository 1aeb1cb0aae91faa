"""The HTTP form of an answer: its JSON, its file, or both.

What lies on the disk for it is removed afterwards.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from fastapi.responses import FileResponse, JSONResponse, Response
from monailabel.endpoints.infer import MultipartEncoder, ResultType
from monailabel.utils.others.generic import get_mime_type
from starlette.types import Receive, Scope, Send

from apps.iris_app.answers.folders import served_folders
from apps.iris_app.door.server_paths import ServerPaths

WARNINGS = "Iris-Warnings"  # the header for clients that take the file alone: percent-encoded JSON, a list
LONGEST = 4000  # characters of that header


class PassingFile(FileResponse):
    """Sends a file and removes it, also where the client goes away in between."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            discard(str(self.path))


def discard(file: str | os.PathLike[str]) -> None:
    """Removes a file that nobody needs any more."""
    with suppress(OSError):
        Path(file).unlink()


def response(file: str, told: dict, output: ResultType | None) -> Response:
    """An answer as the host gives it.

    Args:
        file: the label, a temporary file that goes with the response.
        told: what is to be known about it.
        output: json, image; anything else gives both in one multipart message.
    """
    headers = {WARNINGS: _header(told["warnings"])} if told["warnings"] else {}
    if output == ResultType.json:
        discard(file)
        return JSONResponse(told, headers=headers)
    if output == ResultType.image:
        name = Path(file).name
        return PassingFile(file, media_type=get_mime_type(file), filename=name, headers=headers)
    try:
        content = Path(file).read_bytes()
    finally:
        discard(file)
    message = MultipartEncoder(
        fields={
            "params": (None, _paths().without(json.dumps(told).encode()), "application/json"),
            "image": (Path(file).name, content, get_mime_type(file)),
        }
    )
    return Response(message.to_string(), media_type=message.content_type, headers=headers)


def _paths() -> ServerPaths:
    """What takes paths out of the parts of an answer that the door does not read."""
    return ServerPaths(served_folders())


def _header(warnings: list[str]) -> str:
    """As many warnings as fit, without the server's paths."""
    paths = _paths()
    kept = [paths.without(warning.encode()).decode(errors="replace") for warning in warnings]
    while len(text := quote(json.dumps(kept), safe=" ,:;[]()")) > LONGEST:
        kept = [warning[:200] for warning in kept[: len(kept) // 2]]
    return text
