"""/train/ and /batch/infer: the host's long tasks, for the one model there is and known options alone."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, HTTPException
from monailabel.endpoints import batch_infer, train
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType
from monailabel.utils.async_tasks.utils import processes, tasks

from apps.iris_app.lib.infer_task import MODEL
from apps.iris_app.lib.options import DEVICE, DEVICES
from apps.iris_app.routes.request import PREFIX, USER

ENDED = ("DONE", "ERROR", "STOPPED")
ALL = BatchInferImageType.IMAGES_ALL

router = APIRouter(prefix=PREFIX)


@router.post(f"/train/{MODEL}")
def train_model(params: dict[str, Any] | None = None, user: User = USER) -> dict:
    """Starts the tuning.

    Raises:
        HTTPException: 422, an option that there is not; 429, it runs already.
    """
    options = _options(params)
    _require_idle("train")
    return train.run_model(MODEL, options)


@router.post("/train/")
def train_all(params: dict[str, Any] | None = None, user: User = USER) -> dict:
    """Starts the tuning, in the words that OHIF uses."""
    given = dict(params or {})
    inner = given.pop(MODEL, None)
    if inner is not None and not isinstance(inner, dict):
        raise HTTPException(422, f"The options of {MODEL} must be a JSON object")
    return {MODEL: {"result": train_model({**given, **(inner or {})}), "detail": None}}


@router.post(f"/batch/infer/{MODEL}")
def batch(images: BatchInferImageType = ALL, params: dict[str, Any] | None = None, user: User = USER) -> dict:
    """Computes many studies, whose results become original labels.

    Raises:
        HTTPException: 422, an option that there is not; 429, it runs already.
    """
    options = _options(params)
    _require_idle("batch_infer")
    return batch_infer.run(MODEL, images, options)


def _options(params: dict[str, Any] | None) -> dict[str, Any]:
    """The options that may go on; the host would put any other into the command of a process."""
    given = dict(params or {})
    client, device = given.pop("client_id", None), given.pop("device", "auto")
    device = device[0] if isinstance(device, list) and device else device
    if given:
        raise HTTPException(422, f"There is no option {', '.join(sorted(given))[:80]}; there is device")
    if not isinstance(device, str) or not DEVICE.fullmatch(device):
        raise HTTPException(422, f"device must be one of {', '.join(DEVICES)}")
    return {"device": device, **({"client_id": str(client)[:200]} if client else {})}


def _require_idle(kind: str) -> None:
    waiting = [task for task in tasks(kind) if task["status"] not in ENDED]
    if waiting or processes(kind):
        raise HTTPException(429, "This task is running already")
