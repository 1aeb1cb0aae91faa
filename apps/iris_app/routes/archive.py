"""/proxy/dicom/: the DICOMweb archive, as OHIF reads it and stores what it has drawn.

The gate lets through nothing but paths of DICOMweb. The archive gets the server's own password, and of the
client's headers only what the answer depends on.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from typing import IO
from urllib.parse import parse_qsl, urlencode

import requests
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from monailabel.config import settings
from monailabel.endpoints.proxy import proxy_dicom
from monailabel.endpoints.user.auth import User

from apps.iris_app.routes.request import PREFIX, USER
from apps.iris_app.waiting.turns import ARCHIVE, PIECES

PIECE = 1 << 16  # bytes
IN_MEMORY = 1 << 20  # bytes of what is sent to an archive; more of it waits on the disk
ASKED = ("accept", "accept-encoding", "content-type")
ANSWERED = ("content-type", "content-length", "content-encoding")
KINDS = ("wado", "qido", "stow")

router = APIRouter(prefix=f"{PREFIX}/proxy/dicom")


@router.get("/{path:path}")
@router.post("/{path:path}")
async def archive(path: str, request: Request, user: User = USER) -> Response:
    """Asks the archive.

    Raises:
        HTTPException: 404, the studies lie in a folder; 502, it does not answer; 503, too many ask it.
        OSError: the disk is full.
    """
    if not settings.MONAI_LABEL_STUDIES.startswith(("http://", "https://")):
        raise HTTPException(404, "There is no archive: the studies lie in a folder")
    kind, _, rest = path.partition("/")
    kind, rest = (kind, rest) if kind in KINDS else ("", path)
    if "googleapis.com" in settings.MONAI_LABEL_STUDIES:  # the host fetches the token that it needs
        return await proxy_dicom(request, kind, rest)
    url = _url(kind, rest, request)
    if request.method != "POST":
        return await ARCHIVE.run(_ask, request, url, None)
    with tempfile.SpooledTemporaryFile(IN_MEMORY) as body:
        async for piece in request.stream():
            await PIECES.run(body.write, piece)
        is_empty = not body.tell()
        await PIECES.run(body.seek, 0)
        return await ARCHIVE.run(_ask, request, url, None if is_empty else body)


def _url(kind: str, path: str, request: Request) -> str:
    prefixes = {
        "wado": settings.MONAI_LABEL_WADO_PREFIX,
        "qido": settings.MONAI_LABEL_QIDO_PREFIX,
        "stow": settings.MONAI_LABEL_STOW_PREFIX,
    }
    kind = "wado" if path.endswith("metadata") and kind == "qido" else kind  # OHIF asks so at times
    parts = [settings.MONAI_LABEL_STUDIES.rstrip("/"), prefixes.get(kind) or "", path]
    query = urlencode(parse_qsl(request.url.query, keep_blank_values=True))
    return "/".join(part for part in parts if part) + (f"?{query}" if query else "")


def _ask(request: Request, url: str, body: IO[bytes] | None) -> Response:
    name, password = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
    given = {name: request.headers[name] for name in ASKED if name in request.headers}
    asked = {"accept-encoding": "identity"} | given
    try:
        answer = requests.request(
            request.method, url, data=body, stream=True, allow_redirects=False,
            auth=(name, password) if name and password else None,
            headers=asked,
            timeout=settings.MONAI_LABEL_DICOMWEB_PROXY_TIMEOUT,
        )  # fmt: skip
    except requests.RequestException as error:
        raise HTTPException(502, "The DICOM archive does not answer") from error
    kept = {n: answer.headers[n] for n in ANSWERED if n in answer.headers}
    return StreamingResponse(_pieces(answer), answer.status_code, kept)


async def _pieces(answer: requests.Response) -> AsyncIterator[bytes]:
    """The body of an answer; each piece takes a thread of its own kind while the archive sends it."""
    pieces = answer.raw.stream(PIECE, decode_content=False)
    try:
        while piece := await PIECES.run(next, pieces, b""):
            yield piece
    finally:
        PIECES.later(answer.close)  # which waits for a piece that is still on its way
