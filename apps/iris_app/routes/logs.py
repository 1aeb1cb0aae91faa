"""/logs/: the last lines of the server's log, as text or on a page that needs nothing from the internet."""

from __future__ import annotations

from collections import deque
from html import escape
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import User

from apps.iris_app.routes.home import STRICT
from apps.iris_app.routes.request import PREFIX, USER

MOST_LINES = 10_000
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Iris: log</title>{refresh}
<style>body {{ margin: 1em }} pre {{ font: 13px/1.4 monospace; white-space: pre-wrap }}</style>
<p><a href="/">Iris</a></p>
<pre>{lines}</pre>
"""

router = APIRouter()


@router.get(f"{PREFIX}/logs/")
def logs(
    lines: int = 300, html: bool = True, text: bool = False, refresh: int = 0, user: User = USER
) -> Response:
    """The last lines; `refresh` reloads the page every so many seconds.

    Raises:
        HTTPException: 404, there is no log.
    """
    try:
        path = Path(settings.MONAI_LABEL_APP_DIR) / "logs" / "app.log"
        with open(path, encoding="utf-8", errors="replace") as file:
            last = "".join(deque(file, min(max(lines, 1), MOST_LINES)))
    except FileNotFoundError as error:
        raise HTTPException(404, "There is no log") from error
    if text or not html:
        return PlainTextResponse(last)
    again = f'<meta http-equiv="refresh" content="{min(max(refresh, 3), 3600)}">' if refresh > 0 else ""
    return HTMLResponse(PAGE.format(refresh=again, lines=escape(last)), headers=STRICT)
