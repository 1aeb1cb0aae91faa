"""POST /infer/in_context: the host's infer request, in a thread of its own."""

from __future__ import annotations

from fastapi import APIRouter, BackgroundTasks, Form, HTTPException, UploadFile
from monailabel.endpoints.infer import ResultType, run_inference
from monailabel.endpoints.user.auth import User

from apps.iris_app.lib.infer_task import MODEL
from apps.iris_app.routes.request import NO_FILE, PREFIX, USER, json_object

router = APIRouter()


@router.post(f"{PREFIX}/infer/{MODEL}")
def infer(
    background_tasks: BackgroundTasks,
    image: str = "",
    session_id: str = "",
    params: str = Form("{}"),
    file: UploadFile = NO_FILE,
    label: UploadFile = NO_FILE,
    output: ResultType | None = None,
    user: User = USER,
):
    """Segments a study.

    Raises:
        HTTPException: 422, `params` is no JSON object, or no image is named.
    """
    json_object(params)
    if not image and file is None and not session_id:
        raise HTTPException(422, "No image is named: image must be the id of a study of the datastore")
    return run_inference(background_tasks, MODEL, image, session_id, params, file, label, output)
