"""The ASGI application of `iris serve`: our own routes stand before those of the host, which stays as it is.

The host computes and saves labels inside the event loop, so one request stops all others. Our routes do the
same in a thread, and the computing itself happens in the worker process.
"""

from __future__ import annotations

from fastapi import FastAPI
from monailabel.app import app as host
from starlette.routing import Match

from apps.iris_app.routes import infer, labels, prelabels

own = FastAPI(title="Iris", middleware=host.user_middleware, openapi_url=None)
for module in (infer, labels, prelabels):
    own.include_router(module.router)


async def app(scope, receive, send) -> None:
    """Sends a request to our own route where there is one for its path and method, else to the host."""
    await (own if _is_ours(scope) else host)(scope, receive, send)


def _is_ours(scope) -> bool:
    return scope["type"] == "http" and any(r.matches(scope)[0] is Match.FULL for r in own.routes)
