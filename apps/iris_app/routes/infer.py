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
    params: str = Form("{}"),
    file: UploadFile = NO_FILE,
    label: UploadFile = NO_FILE,
    output: ResultType | None = None,
    user: User = USER,
):
    """Segments a study.

    Raises:
        HTTPException: 422, `params` is no JSON object, no image is named, a file is sent, or the result is
            to be DICOM SEG.
    """
    json_object(params)
    if file is not None or label is not None:
        raise HTTPException(422, "Files are not taken here: add the image to the datastore and name its id")
    if not image:
        raise HTTPException(422, "No image is named: image must be the id of a study of the datastore")
    if output == ResultType.dicom_seg:
        raise HTTPException(422, "The result is not offered as DICOM SEG; save_as = final stores it as one")
    return run_inference(background_tasks, MODEL, image, "", params, None, None, output)
