"""/: the page of the server itself. It needs nothing from the internet."""

from __future__ import annotations

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.door.users.identity import USER_KEY
from apps.iris_app.lib.state import read_json
from apps.iris_app.routes.request import PREFIX, USER

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Iris</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 46em; margin: 3em auto; padding: 0 1em; color: #222 }}
code {{ background: #eee; padding: 0 .3em }} td {{ padding: .2em 1.5em .2em 0; vertical-align: top }}</style>
<h1>Iris</h1>
<p>In-context segmentation: label one study, find the others pre-labelled.</p>
<table>
<tr><td>Studies<td>{total}, of which {labelled} have a final label
<tr><td>Pre-labels<td>{prelabels}
<tr><td>3D Slicer<td>module <em>MONAI Label</em>, server <code>{address}</code>{slicer}
{viewer}<tr><td>Log<td><a href="/logs/">its last lines</a>
</table>
<p>Research use, not a medical device.</p>
"""
VIEWER = '<tr><td>OHIF<td><a href="/ohif/">open the viewer</a>; its server is <code>{address}</code>\n'
WITH_TOKEN = "/t/<em>TOKEN</em>, with your token"

STRICT = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"}

router = APIRouter()


@router.get(f"{PREFIX}/")
def home(request: Request, user: User = USER) -> HTMLResponse:
    """How many studies there are, how far the pre-labels are, and where the viewers find the server."""
    app = app_instance()
    counts = app.datastore().status()
    told = read_json(app.service.state.progress, {"state": "none"})
    done = f", {told['done']} of {told['total']}" if {"done", "total"} <= told.keys() else ""
    address = f"{request.url.scheme}://{request.url.netloc}"
    remote = settings.MONAI_LABEL_STUDIES.startswith(("http://", "https://"))
    page = PAGE.format(
        total=counts["total"],
        labelled=counts["completed"],
        prelabels=escape(f"{told['state']}{done}"),
        address=escape(address),
        slicer=WITH_TOKEN if USER_KEY in request.scope else "",
        viewer=VIEWER.format(address=escape(address)) if remote else "",
    )
    return HTMLResponse(page, headers=STRICT)
