"""/proxy/dicom/: the DICOMweb archive, as OHIF reads it and stores what it has drawn.

The gate lets through nothing but paths of DICOMweb. The archive gets the server's own password, and of the
client's headers only what the answer depends on.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode

import requests
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from monailabel.config import settings
from monailabel.endpoints.proxy import proxy_dicom
from monailabel.endpoints.user.auth import User

from apps.iris_app.routes.request import PREFIX, USER
from apps.iris_app.waiting.turns import ARCHIVE

PIECE = 1 << 16  # bytes
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
    """
    if not settings.MONAI_LABEL_STUDIES.startswith(("http://", "https://")):
        raise HTTPException(404, "There is no archive: the studies lie in a folder")
    kind, _, rest = path.partition("/")
    kind, rest = (kind, rest) if kind in KINDS else ("", path)
    if "googleapis.com" in settings.MONAI_LABEL_STUDIES:  # the host fetches the token that it needs
        return await proxy_dicom(request, kind, rest)
    body = await request.body() if request.method == "POST" else None
    return await ARCHIVE.run(_ask, request, _url(kind, rest, request), body)


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


def _ask(request: Request, url: str, body: bytes | None) -> Response:
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


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    with answer:
        yield from answer.raw.stream(PIECE, decode_content=False)
