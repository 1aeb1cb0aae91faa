"""The ASGI application of `iris serve`: the door, behind it our own routes, and then those of the host.

The host's application stays as it is. Its routes compute, save labels and ask archives inside the event loop,
where one request stops all others: here each of them has a thread. A request that waits for the worker
process waits in our own route, without one.
"""

from __future__ import annotations

from fastapi import FastAPI
from monailabel.app import app as host
from monailabel.config import settings
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from apps.iris_app.answers.folders import served_folders
from apps.iris_app.beside import Beside
from apps.iris_app.door.entrance import behind_door
from apps.iris_app.door.settings import DoorSettings
from apps.iris_app.lib.state import State
from apps.iris_app.routes import (
    archive,
    datastore,
    history,
    home,
    infer,
    labels,
    logs,
    next_study,
    prelabels,
    queue,
    tasks,
    upload,
    viewer,
)
from apps.iris_app.routes.answers import with_reason
from apps.iris_app.serving.serving_lock import ServingLock
from apps.iris_app.serving.start import end_with
from iris_core.errors import InputError

own = FastAPI(title="Iris", openapi_url=None, redirect_slashes=False)
ROUTES = (
    *(archive, datastore, history, home, infer, labels, logs, next_study),
    *(prelabels, queue, tasks, upload, viewer),
)
own.add_exception_handler(HTTPException, with_reason)
for module in ROUTES:
    own.include_router(module.router)
beside = Beside(host)


async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends a request to our own route where there is one for its path and method, else to the host."""
    await (own if _is_ours(scope) else beside)(scope, receive, send)


def _is_ours(scope: Scope) -> bool:
    return scope["type"] == "http" and any(r.matches(scope)[0] is Match.FULL for r in own.routes)


behind = behind_door(dispatch, DoorSettings.from_environment(), served_folders())


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as long as no other process serves the same studies."""
    if scope["type"] != "lifespan":
        await behind(scope, receive, send)
        return
    lock = ServingLock(settings.MONAI_LABEL_STUDIES, State.of_datastore(settings.MONAI_LABEL_STUDIES))
    try:
        lock.acquire()
    except InputError as error:
        await end_with(error, receive, send)
        return
    try:
        await host(scope, receive, send)
    finally:
        lock.release()
