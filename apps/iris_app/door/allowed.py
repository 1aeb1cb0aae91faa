"""The list of what may be asked: routes and methods that Slicer, OHIF and our own pages use.

All else is refused before any route is looked for. A new route needs its line here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from apps.iris_app.door.dicomweb import READ, STORE
from apps.iris_app.lib.infer_task import MODEL

SMALL = 1 << 20  # bytes of a request without a file
FORM = 16 << 20  # with options in a form
LARGE = 4 << 30  # with an image or a label
ARCHIVE = 1 << 30  # DICOM files on their way into an archive
WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,63})"
PROXY = r"/proxy/dicom(?:/(?:wado|qido|stow))?"
ANY = frozenset({"*"})


@dataclass(frozen=True)
class Allowed:
    """One line of the list.

    Attributes:
        methods: of HTTP.
        path: what the whole path must be, as a regular expression; a slash at the end may be missing.
        used_by: who needs it.
        query: names that may stand in the query, each at most once; ANY leaves the query to the route.
        body: bytes that a request may bring.
        json: the body is JSON, which the gate reads first.
        id_in_path: the path ends in the id of a study, which may be %-encoded.
    """

    methods: tuple[str, ...]
    path: re.Pattern[str]
    used_by: str
    query: frozenset[str] = field(default=frozenset())
    body: int = SMALL
    json: bool = False
    id_in_path: bool = False


def _line(methods: str, path: str, used_by: str, query: str = "", **more: Any) -> Allowed:
    return Allowed(tuple(methods.split()), re.compile(path), used_by, frozenset(query.split()), **more)


ALLOWED: tuple[Allowed, ...] = (
    _line("GET", "/", "our own page", "token"),
    _line("GET", r"/favicon\.ico", "browsers"),
    _line("GET", "/logs/", "our own page, Slicer", "lines html text refresh"),
    _line("GET", r"/ohif/(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*/)*(?:[A-Za-z0-9_-][A-Za-z0-9_.-]*)?", "OHIF", "*"),
    _line("GET", "/auth/(?:token/valid)?", "Slicer, where the host's own login is on"),
    _line("POST", "/auth/token", "Slicer, where the host's own login is on"),
    _line("GET", "/info/", "Slicer, OHIF"),
    _line("POST", f"/activelearning/{WORD}", "Slicer, OHIF", json=True),
    _line("POST", f"/infer/{MODEL}", "Slicer, OHIF", "image output", body=FORM),
    _line("GET POST DELETE", "/prelabels/", "scripts"),
    _line("GET", "/queue/", "OHIF, scripts"),
    _line("GET DELETE", f"/queue/{WORD}", "OHIF, scripts"),
    _line("GET", "/datastore/", "Slicer", "output"),
    _line("PUT", "/datastore/(?:image)?", "Slicer", "image", body=LARGE),
    _line("GET", "/datastore/image", "Slicer", "image"),
    _line("GET", "/datastore/image/info", "scripts", "image"),
    _line("PUT", "/datastore/label", "Slicer, OHIF", "image tag allow_empty seen client_id", body=LARGE),
    _line("GET", "/datastore/label", "Slicer", "label image tag client_id"),
    _line("DELETE", "/datastore/label", "scripts", "id tag"),
    _line("DELETE", "/datastore/", "scripts; of a label alone, never of an image", "id type tag"),
    _line("GET POST", r"/history/[^/]+", "scripts", "version client_id", id_in_path=True),
    _line("GET", "/datastore/label/info", "scripts", "label tag"),
    _line("GET", "/train/", "Slicer, OHIF", "all check_if_running"),
    _line("DELETE", "/train/", "Slicer, OHIF"),
    _line("POST", f"/train/(?:{MODEL})?", "Slicer, OHIF", json=True),
    _line("GET", "/batch/infer", "scripts", "all check_if_running"),
    _line("DELETE", "/batch/infer", "scripts"),
    _line("POST", f"/batch/infer/{MODEL}", "scripts", "images", json=True),
    _line("GET", f"{PROXY}/{READ}", "OHIF", "*"),
    _line("POST", f"{PROXY}/{STORE}", "OHIF", body=ARCHIVE),
)


def allowed(method: str, path: str) -> tuple[Allowed | None, str, tuple[str, ...]]:
    """The line for a request.

    Returns:
        The line, or None; the path as the line has it, with or without its last slash; and the methods that
        the path takes, where the line is None because of the method.
    """
    methods: list[str] = []
    for form in (path, f"{path}/", path[:-1] if path.endswith("/") else path):
        for line in ALLOWED:
            if form and line.path.fullmatch(form):
                if method in line.methods:
                    return line, form, ()
                methods += line.methods
    return None, path, tuple(sorted({*methods}))
