"""/history/ID: the versions of a study's labels; POST restores one of them."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.history.seen import Sender
from apps.iris_app.history.version import Version
from apps.iris_app.routes.answers import label_errors
from apps.iris_app.routes.request import ANNOTATOR, PREFIX, USER
from apps.iris_app.routes.sender import sender_of
from apps.iris_app.submissions.submissions import version_of
from apps.iris_app.waiting.turns import FILES, LABELS

PATH = f"{PREFIX}/history/{{study}}"

router = APIRouter()


@router.get(PATH, response_model=None)
async def history(study: str, version: int | None = None, user: User = USER) -> dict | FileResponse:
    """The versions of a study's labels, oldest first; with `version` the file of that one.

    Raises:
        HTTPException: 404, no such study or version; 503, the history cannot be read now.
    """
    return await FILES.run(_history, study, version)


def _history(study: str, version: int | None) -> dict | FileResponse:
    service = app_instance().service
    with label_errors("The history cannot be read"):
        versions = service.submissions.history.versions(study)
        has_study = service.lists(study)
        if not versions and not has_study:
            raise HTTPException(404, f"The datastore has no study {study}; name one by its id")
        if version is not None:
            chosen = _chosen(versions, version)
            return FileResponse(service.submissions.history.file(chosen), filename=chosen.file)
        tags = {kept.tag for kept in versions}
        current = {tag: service.submissions.current(study, tag) for tag in tags if has_study}
    labels = {tag: label for tag, label in current.items() if label is not None}
    counting = [version_of(label, [v for v in versions if v.tag == tag]) for tag, label in labels.items()]
    told = [{**kept.told, "current": kept in counting} for kept in versions]
    return {"study": study, "versions": told}


@router.post(PATH)
async def restore(request: Request, study: str, version: int, user: User = ANNOTATOR) -> dict:
    """Makes a kept version the label that counts again; the one before it is kept.

    Raises:
        HTTPException: 404, no such study or version; 422, the version does not belong to the image any more;
            503 and 507, it cannot be saved now.
    """
    return await LABELS.run(_restored, study, version, sender_of(request, user))


def _restored(study: str, version: int, sender: Sender) -> dict:
    service = app_instance().service
    with label_errors("The version is not restored"):
        versions = service.submissions.history.versions(study)
        known = service.study(study)
        if known is None:
            more = "; its versions are kept, and its image is gone" if versions else ""
            raise HTTPException(404, f"The datastore has no study {study}{more}")
        _chosen(versions, version)
        receipt = service.submissions.restore(study, version, known.image, sender)
    app_instance().on_save_label(study, receipt.label)
    return {**receipt.version.told, "image": study, "warnings": list(receipt.warnings)}


def _chosen(versions: list[Version], number: int) -> Version:
    chosen = next((version for version in versions if version.number == number), None)
    if chosen is None:
        known = ", ".join(str(version.number) for version in versions) or "none"
        raise HTTPException(404, f"There is no version {number}; there are: {known}")
    return chosen
