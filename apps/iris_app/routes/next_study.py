"""POST /activelearning/NAME: the study to label next, answered from what is known; writing comes later."""

from __future__ import annotations

import logging
import time
from typing import Any

from fastapi import APIRouter, BackgroundTasks, Request
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.door.users.identity import user_of
from apps.iris_app.routes.request import PREFIX, USER
from apps.iris_app.waiting.turns import NEXT

LONGEST = 200  # characters of a client's name, which is written into the index

log = logging.getLogger(__name__)

router = APIRouter()


@router.post(f"{PREFIX}/activelearning/{{strategy}}")
async def next_study(
    strategy: str,
    request: Request,
    background_tasks: BackgroundTasks,
    params: dict[str, Any] | None = None,
    user: User = USER,
) -> dict:
    """A study and what is noted of it; {} where all are labelled.

    Raises:
        HTTPException: 422, an unknown strategy.
    """
    found = await NEXT.run(_chosen, {**(params or {}), "strategy": strategy})
    if found:
        client = user_of(request.scope) or (params or {}).get("client_id") or user.username
        background_tasks.add_task(_note, found["id"], strategy, str(client)[:LONGEST])
    return found


def _chosen(request: dict[str, Any]) -> dict:
    app = app_instance()
    found = app.choose_next(request)
    noted = app.datastore().get_image_info(found["id"]) if found else {}
    return {name: value for name, value in {**found, **noted}.items() if name != "path"}


def _note(study: str, strategy: str, client: str) -> None:
    """Writes down that a study was handed out; nobody waits for it."""
    app = app_instance()
    given = app.datastore().get_image_info(study).get("strategy")
    given = dict(given) if isinstance(given, dict) else {}
    given[strategy] = {"ts": int(time.time()), "client_id": client}
    try:
        app.want(study)
        app.datastore().update_image_info(study, {"strategy": given})
    except Exception:  # a full disk, a study that has just gone, a datastore that is read only
        log.warning("that %s was handed out could not be written down", study, exc_info=True)
