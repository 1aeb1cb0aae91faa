"""/prelabels/: how far the pre-label job is; DELETE stops it, POST lets it go on."""

from __future__ import annotations

from fastapi import APIRouter
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.lib.prelabelling import cancel, resume
from apps.iris_app.lib.state import State, read_json
from apps.iris_app.routes.request import PREFIX, USER

PATH = f"{PREFIX}/prelabels/"

router = APIRouter()


@router.get(PATH)
async def prelabels(user: User = USER) -> dict:
    """How far the pre-label job is."""
    return read_json(_state().progress, {"state": "none"})


@router.delete(PATH)
async def cancel_prelabels(user: User = USER) -> dict:
    """Stops the pre-label job."""
    cancel(_state())
    return {"state": "cancelled"}


@router.post(PATH)
async def resume_prelabels(user: User = USER) -> dict:
    """Lets the pre-label job go on."""
    resume(_state())
    return read_json(_state().progress, {"state": "none"})


def _state() -> State:
    return app_instance().service.state
