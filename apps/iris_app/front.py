"""The ASGI application of `iris serve`: our own routes in front of the host's, which stays as it is.

The host's infer route computes inside the event loop, so one request stops all others. Ours does the same in
a thread, and the computing itself happens in the worker process. /prelabels/ tells and steers the job.
"""

from __future__ import annotations

import json

from fastapi import BackgroundTasks, Depends, FastAPI, File, Form, HTTPException, UploadFile
from monailabel.app import app as host
from monailabel.config import settings
from monailabel.endpoints.infer import ResultType, run_inference
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.lib.infer_task import MODEL
from apps.iris_app.lib.prelabelling import cancel, resume
from apps.iris_app.lib.state import read_json

PREFIX = settings.MONAI_LABEL_API_STR
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
UPLOAD = File(None)

own = FastAPI(title="Iris", middleware=host.user_middleware, openapi_url=None)


@own.post(f"{PREFIX}/infer/{MODEL}")
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
    try:
        given = json.loads(params or "{}")
    except ValueError as error:
        raise HTTPException(422, f"params must be a JSON object: {error}") from error
    if not isinstance(given, dict):
        raise HTTPException(422, f"params must be a JSON object, found {params[:40]}")
    if not image and file is None and not session_id:
        raise HTTPException(422, "No image is named: image must be the id of a study of the datastore")
    return run_inference(background_tasks, MODEL, image, session_id, params, file, label, output)


@own.get(f"{PREFIX}/prelabels/")
def prelabels(user: User = USER) -> dict:
    """How far the pre-label job is."""
    return read_json(_state().progress, {"state": "none"})


@own.delete(f"{PREFIX}/prelabels/")
def cancel_prelabels(user: User = USER) -> dict:
    """Stops the pre-label job."""
    cancel(_state())
    return {"state": "cancelled"}


@own.post(f"{PREFIX}/prelabels/")
def resume_prelabels(user: User = USER) -> dict:
    """Lets the pre-label job go on."""
    resume(_state())
    return read_json(_state().progress, {"state": "none"})


async def app(scope, receive, send) -> None:
    """Sends our own paths to us and everything else to the host."""
    path = scope.get("path", "")
    ours = scope["type"] == "http" and (path == f"{PREFIX}/infer/{MODEL}" or path == f"{PREFIX}/prelabels/")
    await (own if ours else host)(scope, receive, send)


def _state():
    return app_instance().service.state
