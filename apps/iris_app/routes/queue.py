"""/queue/: the requests that wait for an answer, in the order of their turns; DELETE takes one out."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.door.users.identity import user_of
from apps.iris_app.routes.request import PREFIX, USER
from apps.iris_app.waiting.line import Line

PATH = f"{PREFIX}/queue/"

router = APIRouter()


@router.get(PATH)
async def queue(user: User = USER) -> dict:
    """Every waiting request: id, study, user, state, position (0: at work), seconds waited and to go.

    A request whose labels are still being read is in the state `reading`; it has its position already.
    """
    places = _line().places()
    return {"length": len(places), "requests": places}


@router.get(PATH + "{name}")
async def place(name: str, user: User = USER) -> dict:
    """One waiting request.

    Raises:
        HTTPException: 404, none with this id waits.
    """
    found = _line().place(name)
    if found is None:
        raise HTTPException(404, _unknown(name))
    return found


@router.delete(PATH + "{name}")
async def leave(name: str, request: Request, user: User = USER) -> dict:
    """Takes a request out of the queue; others that wait for the same study stay.

    Raises:
        HTTPException: 403, it is somebody else's; 404, none with this id waits.
    """
    found, sender = _line().place(name), user_of(request.scope)
    if found is None:
        raise HTTPException(404, _unknown(name))
    if found["user"] != sender:
        raise HTTPException(403, "This request is somebody else's: only they may take it out of the queue")
    if not _line().leave(name, "The request was taken out of the queue"):
        raise HTTPException(404, _unknown(name))
    return {"id": name, "state": "cancelled"}


def _line() -> Line:
    return app_instance().service.line


def _unknown(name: str) -> str:
    return f"No request {name[:64]} waits: it has been answered, or there never was one"
