"""/datastore/label: a person submits, looks at or deletes a label. What is replaced or deleted is kept."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from pathlib import Path, PureWindowsPath

from fastapi import APIRouter, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import FileResponse
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.answers.response import PassingFile
from apps.iris_app.catalogue.class_register import with_colors
from apps.iris_app.catalogue.study import Study
from apps.iris_app.datastores.datastore_view import FINAL
from apps.iris_app.datastores.whole_folder import CurrentLabel
from apps.iris_app.door.ids import id_fault
from apps.iris_app.history.seen import Sender
from apps.iris_app.routes.answers import label_errors
from apps.iris_app.routes.request import ANNOTATOR, PREFIX, USER, FewParts, json_object
from apps.iris_app.routes.sender import sender_of
from apps.iris_app.submissions.check import check_label
from apps.iris_app.submissions.label_info import check_label_info
from apps.iris_app.submissions.remarks import remarks_on
from apps.iris_app.submissions.submissions import Submissions
from apps.iris_app.submissions.viewable import viewable
from apps.iris_app.waiting.turns import FILES, LABELS
from iris_core.errors import PassingError
from iris_core.volume_io.suffix import suffix_of

LABEL = File(...)
TAG = re.compile(r"\w[\w.-]*")  # it is the name of a folder
TYPES = ("label", "label_tag")
PATH = f"{PREFIX}/datastore/label"

log = logging.getLogger(__name__)

router = APIRouter(route_class=FewParts)


@router.put(PATH)
async def put_label(
    request: Request,
    image: str,
    params: str = Form("{}"),
    tag: str = FINAL,
    label: UploadFile = LABEL,
    allow_empty: bool = False,
    seen: str = "",
    user: User = ANNOTATOR,
) -> dict:
    """Saves a label that fits its image; the one before it is kept.

    Args:
        request: may carry If-Match with the checksum of the label that is to be replaced.
        image: id of the study.
        params: what is kept with the label, such as its label_info.
        tag: under which it is saved.
        label: the file.
        allow_empty: the study shows none of the structures.
        seen: checksum of the version that the sender has seen, where the server cannot know it.
        user: the host's.

    Raises:
        HTTPException: 404, no such study; 412, If-Match names another label; 422, `params` is no JSON object,
            the tag is no word, or the label is refused; 503 and 507, it cannot be saved now.
    """
    given = json_object(params)
    empty = allow_empty or given.pop("allow_empty", False) in (True, "true")
    return await LABELS.run(_put, request, image, given, tag or FINAL, label, user, empty=empty, seen=seen)


def _put(
    request: Request, image: str, given: dict, tag: str, label: UploadFile, user: User, *, empty: bool,
    seen: str,
) -> dict:  # fmt: skip
    known = _study(image, tag)
    name = _file_name(label.filename or "label.nii.gz")
    service = app_instance().service
    with label_errors("The label is not saved", name), tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / name
        with open(copy, "wb") as file:
            shutil.copyfileobj(label.file, file)
        check_label_info(given)
        checked = check_label(copy, known.image, allow_empty=empty, flat=service.datastore_is_archive)
        remarks = remarks_on(copy)
        given = with_colors(given, service.catalogue.register)
        receipt = service.submissions.submit(
            image, tag, checked.file, given, sender_of(request, user, given), knows=seen,
            must_match=request.headers.get("if-match", ""), empty=not checked.values,
        )  # fmt: skip
    told = app_instance().on_save_label(image, receipt.label) or {}
    return {
        **told, "image": image, "label": receipt.label, "version": receipt.version.number,
        "checksum": receipt.version.checksum, "warnings": [*receipt.warnings, *remarks],
    }  # fmt: skip


@router.get(PATH)
@router.head(PATH)
async def get_label(
    request: Request, tag: str, label: str = "", image: str = "", user: User = USER
) -> FileResponse:
    """The file of a label; the server notes that its sender has it now.

    Raises:
        HTTPException: 404, no such study or label; 422, the tag is no word; 503, it cannot be read now.
    """
    return await FILES.run(_given, request, label or image, tag, user)


def _given(request: Request, study: str, tag: str, user: User) -> FileResponse:
    submissions = app_instance().service.submissions
    known = _study(study, tag)
    with label_errors("The label cannot be given"):
        current = submissions.current(study, tag)
        if current is None:
            raise HTTPException(404, f"The study {study} has no label with the tag {tag}")
        file, temporary = viewable(current.file, known.image)
    if request.method == "GET":
        _note_given(submissions, study, tag, current, sender_of(request, user))
    headers = {"ETag": f'"{current.mark}"'}
    kind = PassingFile if temporary else FileResponse
    return kind(file, filename=f"{study}{suffix_of(file)}", headers=headers)


def _note_given(submissions: Submissions, study: str, tag: str, label: CurrentLabel, sender: Sender) -> None:
    try:
        submissions.given(study, tag, label, sender)
    except PassingError as error:  # a history that cannot be read now keeps nobody from a label
        log.warning("who has seen the label of %s is not noted: %s", study, error)


@router.delete(PATH)
async def delete_label(id: str, tag: str = FINAL, user: User = ANNOTATOR) -> dict:
    """Removes a label, which stays in the history; the image stays.

    Raises:
        HTTPException: 404, no such study or label; 422, the tag is no word; 503 and 507, it cannot be kept,
            so it is not removed.
    """
    return await LABELS.run(_delete, id, tag)


def _delete(id: str, tag: str) -> dict:
    _study(id, tag)
    service = app_instance().service
    with label_errors("The label is not deleted"):
        if service.submissions.current(id, tag) is None:
            raise HTTPException(404, f"The study {id} has no label with the tag {tag}")
        version = service.submissions.delete(id, tag)
    service.look()
    return {"version": version.number if version else None}


@router.delete(f"{PREFIX}/datastore/")
async def delete_label_by_type(id: str, type: str, tag: str = FINAL, user: User = ANNOTATOR) -> dict:
    """Removes a label where `type` says that a label is meant; an image is never removed by this request.

    Raises:
        HTTPException: 422, another type; else as `delete_label`.
    """
    if type not in TYPES:
        raise HTTPException(422, f"Nothing is deleted: type must be {' or '.join(TYPES)}, found {type[:40]}")
    return await LABELS.run(_delete, id, tag)


def _file_name(given: str) -> str:
    """The name of a file that is sent, without the folders in which its sender keeps it.

    Raises:
        HTTPException: 422, no file can have this name.
    """
    name = PureWindowsPath(given).name  # takes both kinds of slashes for what they are
    fault = id_fault(name) if name else "it is empty"
    if fault:
        raise HTTPException(422, f"The label is not saved: the name of its file cannot be used; {fault}")
    return name


def _study(study: str, tag: str) -> Study:
    """The study of a request, whose tag is a word.

    Raises:
        HTTPException: 404, no such study; 422, the tag is no word.
    """
    if not TAG.fullmatch(tag):
        raise HTTPException(422, f"A tag must be a word such as {FINAL}, found {tag[:40]}")
    service = app_instance().service
    known = service.study(study)
    if known is None:
        raise HTTPException(404, f"The datastore has no study {study or '(none named)'}; name one by its id")
    return known
