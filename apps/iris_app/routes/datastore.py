"""/datastore/: what the datastore holds, its images and labels. Only studies that it lists can be named."""

from __future__ import annotations

from enum import Enum

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from monailabel.endpoints import datastore as host
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.routes.request import PREFIX, USER
from apps.iris_app.waiting.turns import FILES

router = APIRouter(prefix=f"{PREFIX}/datastore")


class Output(str, Enum):
    """What is told of the datastore: numbers, or every image and label."""

    stats = "stats"
    all = "all"


@router.get("/")
def datastore(output: Output | None = None, user: User = USER) -> dict:
    """Numbers, or every image and label."""
    return host.datastore(host.ResultType(output.value) if output else None)


@router.get("/image")
async def image(image: str, user: User = USER) -> FileResponse:
    """The file of an image.

    Raises:
        HTTPException: 404, no such study; 503, too many files are being read.
    """
    return await FILES.run(_image, image)


def _image(study: str) -> FileResponse:
    require_study(study)
    return host.download_image(study)


@router.get("/image/info")
async def image_info(image: str, user: User = USER) -> dict:
    """What is noted of an image; where its file lies is not told."""
    return await FILES.run(_image_info, image)


def _image_info(study: str) -> dict:
    require_study(study)
    return {name: value for name, value in host.get_image_info(study).items() if name != "path"}


@router.get("/label/info")
async def label_info(label: str, tag: str, user: User = USER) -> dict:
    """What is noted of a label."""
    return await FILES.run(_label_info, label, tag)


def _label_info(study: str, tag: str) -> dict:
    require_label(study, tag)
    return host.get_label_info(study, tag)


def require_study(study: str) -> None:
    """Refuses what is no study.

    Raises:
        HTTPException: 404.
    """
    if not app_instance().service.lists(study):
        raise HTTPException(404, f"The datastore has no study {study or '(none named)'}; name one by its id")


def require_label(study: str, tag: str) -> None:
    """Refuses what is no label of a study.

    Raises:
        HTTPException: 404.
    """
    require_study(study)
    if tag not in app_instance().datastore().get_labels_by_image_id(study):
        raise HTTPException(404, f"The study {study} has no label with the tag {tag}")
