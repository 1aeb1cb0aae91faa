"""The ASGI application of `iris serve`: our own routes in front of the host's, which stays as it is.

The host computes and saves labels inside the event loop, so one request stops all others. Our routes do the
same in a thread, and the computing itself happens in the worker process. A label that nobody could read is
refused before it replaces one that can be read. /prelabels/ tells and steers the job.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, UploadFile
from monailabel.app import app as host
from monailabel.config import settings
from monailabel.endpoints.datastore import save_label
from monailabel.endpoints.infer import ResultType, run_inference
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.lib.datastore_view import FINAL
from apps.iris_app.lib.infer_task import MODEL
from apps.iris_app.lib.prelabelling import cancel, resume
from apps.iris_app.lib.state import read_json
from iris_core.errors import InputError
from iris_core.volume_io import read_label

PREFIX = settings.MONAI_LABEL_API_STR
INFER, LABELS, PRELABELS = f"{PREFIX}/infer/{MODEL}", f"{PREFIX}/datastore/label", f"{PREFIX}/prelabels/"
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
ANNOTATOR = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))
UPLOAD = File(None)
LABEL = File(...)
TAG = re.compile(r"\w[\w.-]*")  # it is the name of a folder

own = FastAPI(title="Iris", middleware=host.user_middleware, openapi_url=None)


@own.post(INFER)
def infer(
    background_tasks: BackgroundTasks,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile = UPLOAD,
    label: UploadFile = UPLOAD,
    output: ResultType | None = None,
    user: User = USER,
):
    """The host's infer request, in a thread of its own.

    Raises:
        HTTPException: 422, `params` is no JSON object, or no image is named; the host itself would fail.
    """
    _refuse_no_object(params)
    if not image and file is None and not session_id:
        raise HTTPException(422, "No image is named: image must be the id of a study of the datastore")
    return run_inference(background_tasks, MODEL, image, session_id, params, file, label, output)


@own.put(LABELS)
def put_label(
    background_tasks: BackgroundTasks,
    image: str,
    params: str = Form("{}"),
    tag: str = FINAL,
    label: UploadFile = LABEL,
    user: User = ANNOTATOR,
):
    """The host's request to save a label, in a thread of its own.

    Raises:
        HTTPException: 404, no such study; 422, `params` is no JSON object, the tag is no word, or the label
            cannot be read.
    """
    _refuse_no_object(params)
    if tag and not TAG.fullmatch(tag):
        raise HTTPException(422, f"A tag must be a word such as {FINAL}, found {tag[:40]}")
    if not app_instance().service.has(image):
        raise HTTPException(404, f"The datastore has no study {image or '(none named)'}; name one by its id")
    name = Path(label.filename or "label.nii.gz").name
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / name
        with open(copy, "wb") as file:
            shutil.copyfileobj(label.file, file)
        try:
            read_label(copy)
        except InputError as error:
            told = InputError(error.what, where=name, expected=error.expected, found=error.found)
            raise HTTPException(422, f"The label is not saved: {told}") from error
    label.file.seek(0)
    return save_label(background_tasks, image, params, tag, label, user.username)


@own.get(PRELABELS)
def prelabels(user: User = USER) -> dict:
    """How far the pre-label job is."""
    return read_json(_state().progress, {"state": "none"})


@own.delete(PRELABELS)
def cancel_prelabels(user: User = USER) -> dict:
    """Stops the pre-label job."""
    cancel(_state())
    return {"state": "cancelled"}


@own.post(PRELABELS)
def resume_prelabels(user: User = USER) -> dict:
    """Lets the pre-label job go on."""
    resume(_state())
    return read_json(_state().progress, {"state": "none"})


async def app(scope, receive, send) -> None:
    """Sends our own paths to us and everything else to the host."""
    path = scope.get("path", "")
    ours = path in (INFER, PRELABELS) or (path == LABELS and scope.get("method") == "PUT")
    await (own if ours and scope["type"] == "http" else host)(scope, receive, send)


def _refuse_no_object(params: str) -> None:
    try:
        given = json.loads(params or "{}")
    except ValueError as error:
        raise HTTPException(422, f"params must be a JSON object: {error}") from error
    if not isinstance(given, dict):
        raise HTTPException(422, f"params must be a JSON object, found {params[:40]}")


def _state():
    return app_instance().service.state
