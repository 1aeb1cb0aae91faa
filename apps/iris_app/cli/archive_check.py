"""Whether a DICOMweb archive answers, asked before a server is started on it."""

from __future__ import annotations

import base64
import json
import os
import threading
import urllib.error
import urllib.request
from concurrent.futures import Future, wait
from urllib.parse import urlsplit

from iris_core.errors import InputError

PATIENCE = 10.0  # seconds without a byte
DEADLINE = 30.0  # seconds for the whole answer, which may come in drops
NAME, PASSWORD = "MONAI_LABEL_DICOMWEB_USERNAME", "MONAI_LABEL_DICOMWEB_PASSWORD"


def require_archive(url: str) -> None:
    """Asks for one study.

    Raises:
        InputError: nobody answers, or it is no DICOMweb archive that lets us in.
    """
    try:
        parts = urlsplit(url)
        right = bool(parts.hostname) and (parts.port or 1) > 0 and not (parts.query or parts.fragment)
    except ValueError:
        right = False
    if not right:
        raise InputError(
            "is no URL of an archive", where=url, expected="such as http://archive:8042/dicom-web"
        )
    if "@" in parts.netloc:
        raise InputError(
            "the URL holds a password", where=parts.hostname, remedy=f"set {NAME} and {PASSWORD} instead"
        )
    if "googleapis.com" in url:  # asks for a token that the host fetches
        return
    prefix = os.environ.get("MONAI_LABEL_QIDO_PREFIX", "").strip("/")
    asked = "/".join(part for part in (url.rstrip("/"), prefix, "studies?limit=1") if part)
    try:
        text = _answer(urllib.request.Request(asked, headers=_headers()))
        right = not text or isinstance(json.loads(text), list)
    except urllib.error.HTTPError as error:
        remedy = f"set {NAME} and {PASSWORD}" if error.code in (401, 403) else "look at the URL"
        raise InputError(
            "the DICOM archive refuses", where=url, found=f"HTTP {error.code}", remedy=remedy
        ) from error
    except ValueError:
        right = False
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise InputError(
            "the DICOM archive does not answer", where=url, found=getattr(reason, "strerror", None) or reason,
            remedy="start it, or look at the URL",
        ) from error  # fmt: skip
    except Exception as error:  # http.client has errors of its own for what is no HTTP
        raise InputError(
            "this is no DICOMweb archive", where=url, found=type(error).__name__, remedy="look at the URL"
        ) from error
    if not right:
        raise InputError(
            "this is no DICOMweb archive", where=url, remedy="look at the URL: it often ends in /dicom-web"
        )


def _answer(request: urllib.request.Request) -> bytes:
    """The body of an answer.

    Raises:
        TimeoutError: the answer has not ended in time, wherever in its head or body it is.
    """
    answer: Future[bytes] = Future()

    def ask() -> None:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as response:
                answer.set_result(response.read(1 << 24))
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=ask, name="archive-check", daemon=True).start()
    wait([answer], DEADLINE)
    if not answer.done():
        raise TimeoutError("its answer comes too slowly")
    return answer.result()


def _headers() -> dict[str, str]:
    headers = {"Accept": "application/dicom+json"}
    name, password = os.environ.get(NAME), os.environ.get(PASSWORD)
    if name and password:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    return headers
