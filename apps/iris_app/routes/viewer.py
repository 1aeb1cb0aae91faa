"""/ohif/: the viewer's own files as they are; its page with one script of ours."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from monailabel.endpoints import ohif as host
from monailabel.endpoints.user.auth import User
from starlette.exceptions import HTTPException

from apps.iris_app.routes.request import PREFIX, USER

FOLDER = Path(host.__file__).parent / "static" / "ohif"
OURS = Path(__file__).parents[1] / "ohif"
SCRIPT = "iris.js"
PAGE = "index.html"  # for every path that is no file: the viewer reads the address itself

router = APIRouter()
_theirs = StaticFiles(directory=FOLDER, check_dir=False)
_ours = StaticFiles(directory=OURS)


@router.get(f"{PREFIX}/ohif/{{path:path}}")
async def viewer(path: str, request: Request, user: User = USER) -> Response:
    """A file of the viewer, or its page.

    Raises:
        HTTPException: 404, the host brings no viewer.
    """
    if path == SCRIPT:
        return await _ours.get_response(SCRIPT, request.scope)
    if path not in ("", PAGE):
        try:
            return await _theirs.get_response(path, request.scope)
        except HTTPException as error:
            if error.status_code != 404:
                raise
        except OSError:  # a name that no file system takes
            pass
    return HTMLResponse(page())


@cache
def page() -> str:
    """The viewer's page with our script before its own.

    Raises:
        HTTPException: 404, the host brings no viewer.
    """
    try:
        text = (FOLDER / PAGE).read_text(encoding="utf-8")
    except OSError as error:
        raise HTTPException(404, "This host brings no viewer") from error
    script = f'<script src="{PREFIX}/ohif/{SCRIPT}"></script>'
    head, end, rest = text.partition("</head>")
    return f"{head}{script}{end}{rest}" if end else script + text
