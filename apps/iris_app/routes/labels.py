"""PUT /datastore/label: a person submits a label. An unreadable one replaces nothing."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from fastapi import APIRouter, BackgroundTasks, File, Form, HTTPException, UploadFile
from monailabel.endpoints.datastore import save_label
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.lib.datastore_view import FINAL
from apps.iris_app.routes.request import ANNOTATOR, PREFIX, json_object
from iris_core.errors import InputError
from iris_core.volume_io import read_label

LABEL = File(...)
TAG = re.compile(r"\w[\w.-]*")  # it is the name of a folder

router = APIRouter()


@router.put(f"{PREFIX}/datastore/label")
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
    json_object(params)
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
