"""/prelabels/: how far the pre-label job is; DELETE stops it, POST lets it go on."""

from __future__ import annotations

from fastapi import APIRouter
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.lib.state import State, read_json
from apps.iris_app.prelabels.job_control import cancel, resume
from apps.iris_app.routes.answers import label_errors
from apps.iris_app.routes.request import PREFIX, USER

PATH = f"{PREFIX}/prelabels/"

router = APIRouter()


@router.get(PATH)
async def prelabels(user: User = USER) -> dict:
    """How far the pre-label job is."""
    return read_json(_state().progress, {"state": "none"})


@router.delete(PATH)
async def cancel_prelabels(user: User = USER) -> dict:
    """Stops the pre-label job.

    Raises:
        HTTPException: 503 or 507, that cannot be written down.
    """
    with label_errors("The job is not stopped"):
        cancel(_state())
    return {"state": "cancelled"}


@router.post(PATH)
async def resume_prelabels(user: User = USER) -> dict:
    """Lets the pre-label job go on, and what failed and may succeed be tried again at once.

    Raises:
        HTTPException: 503 or 507, that cannot be written down.
    """
    app_instance().service.catalogue.retry()
    with label_errors("The job does not go on"):
        resume(_state())
    return read_json(_state().progress, {"state": "none"})


def _state() -> State:
    return app_instance().service.state
