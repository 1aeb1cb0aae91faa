"""/datastore/: what the datastore holds, its images and labels. Only studies that it lists can be named."""

from __future__ import annotations

from enum import Enum

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse
from monailabel.endpoints import datastore as host
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.routes.request import PREFIX, USER

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
def image(image: str, user: User = USER) -> FileResponse:
    """The file of an image."""
    require_study(image)
    return host.download_image(image)


@router.get("/image/info")
def image_info(image: str, user: User = USER) -> dict:
    """What is noted of an image; where its file lies is not told."""
    require_study(image)
    return {name: value for name, value in host.get_image_info(image).items() if name != "path"}


@router.get("/label/info")
def label_info(label: str, tag: str, user: User = USER) -> dict:
    """What is noted of a label."""
    require_label(label, tag)
    return host.get_label_info(label, tag)


def require_study(study: str) -> None:
    """Refuses what is no study.

    Raises:
        HTTPException: 404.
    """
    if not app_instance().service.has(study):
        raise HTTPException(404, f"The datastore has no study {study or '(none named)'}; name one by its id")


def require_label(study: str, tag: str) -> None:
    """Refuses what is no label of a study.

    Raises:
        HTTPException: 404.
    """
    require_study(study)
    if tag not in app_instance().datastore().get_labels_by_image_id(study):
        raise HTTPException(404, f"The study {study} has no label with the tag {tag}")
