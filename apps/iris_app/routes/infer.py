"""POST /infer/in_context: the host's infer request. It waits in the queue and holds no thread meanwhile."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Form, HTTPException, Request, UploadFile
from fastapi.responses import Response
from monailabel.endpoints.infer import ResultType
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance

from apps.iris_app.answers.response import discard, response
from apps.iris_app.computing.result_store import Result
from apps.iris_app.door.users.identity import user_of
from apps.iris_app.lib.infer_task import MODEL, Asked, InContextTask, told_in_http
from apps.iris_app.lib.options import read_time_limit
from apps.iris_app.lib.service import Service
from apps.iris_app.routes.request import NO_FILE, PREFIX, USER, FewParts, json_object
from apps.iris_app.waiting.order import Waiter
from apps.iris_app.waiting.person import ClientGone, TimeIsUp, while_wanted
from apps.iris_app.waiting.steps import in_thread

REQUEST_ID = "Iris-Request"  # the header by which a client names its request, to find it in the queue
NAME = re.compile("[A-Za-z0-9][A-Za-z0-9-]{0,63}")
PATIENCE = 30.0  # seconds for labels to be read; then what is known counts
GONE = 499  # what is written to the log for a client that has gone; nobody receives it

router = APIRouter(route_class=FewParts)


@router.post(f"{PREFIX}/infer/{MODEL}")
async def infer(
    request: Request,
    image: str = "",
    params: str = Form("{}"),
    file: UploadFile = NO_FILE,
    label: UploadFile = NO_FILE,
    output: ResultType | None = None,
    user: User = USER,
) -> Response:
    """Segments a study.

    Raises:
        HTTPException: 404, no such study or model; 409, the request was taken out of the queue; 422, it
            cannot be answered, or not within its time limit; 503, the worker was lost.
    """
    wanted = {"image": image, "model": MODEL} | json_object(params)
    if file is not None or label is not None:
        raise HTTPException(422, "Files are not taken here: add the image to the datastore and name its id")
    if output == ResultType.dicom_seg:
        raise HTTPException(422, "The result is not offered as DICOM SEG; save_as = final stores it as one")
    if wanted.get("session") or wanted.get("session_id"):
        raise HTTPException(422, "Sessions are not served: add the image to the datastore and name its id")
    if not wanted["image"]:
        raise HTTPException(422, "No image is named: image must be the id of a study of the datastore")
    if wanted["model"] != MODEL:
        raise HTTPException(404, f"There is no model {str(wanted['model'])[:80]}; use {MODEL}")
    service, task = app_instance().service, app_instance().in_context
    waiter = _waiter(request)
    with told_in_http():
        limit = read_time_limit(wanted)
        try:
            return await while_wanted(_answer(service, task, wanted, output, waiter), request, limit)
        except TimeIsUp:
            raise HTTPException(
                422, f"The time limit of {limit:g} s has passed; ask again with a larger time_limit, or none"
            ) from None
        except ClientGone:
            return Response(status_code=GONE)


async def _answer(
    service: Service, task: InContextTask, wanted: dict[str, Any], output: ResultType | None, waiter: Waiter
) -> Response:
    """The whole way of a request; cancelled at any point, it leaves nothing behind."""
    await in_thread(task.require, wanted)
    service.served.enter(str(wanted["image"]), waiter)
    answer = asyncio.wrap_future(waiter.key)
    try:
        late = await _looked(service, answer)
        asked = replace(await in_thread(task.asked, wanted), late=late)
        key, result = await in_thread(service.find, asked.study, asked.options)
        if result is None:
            service.served.join(asked.study, asked.options, key, waiter)
            result = service.computed(asked.study, await answer)
    finally:
        service.served.drop(waiter)  # where it was answered at once, or the wait was cut short
        answer.cancel()
    return await in_thread(_written, task, wanted, output, asked, result, undo=_dropped)


async def _looked(service: Service, answer: asyncio.Future[str]) -> bool:
    """Waits until the labels that are there now have been read; says whether that takes too long.

    Raises:
        LeftQueue: the request was taken out of the queue meanwhile.
    """
    look = asyncio.ensure_future(service.lookout.look())
    either: set[asyncio.Future[Any]] = {look, answer}
    await asyncio.wait(either, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if answer.done():
        answer.result()
    return not look.done()


def _written(
    task: InContextTask,
    wanted: dict[str, Any],
    output: ResultType | None,
    asked: Asked,
    result: Result,
) -> Response:
    file, told = task.answer(wanted, asked, result)
    return response(file, told, output)


def _dropped(answer: Response) -> None:
    """Removes the file of an answer that nobody takes."""
    if path := getattr(answer, "path", None):
        discard(path)


def _waiter(request: Request) -> Waiter:
    """The request as the queue shows it.

    Raises:
        HTTPException: 422, the client's name for it is no short word.
    """
    waiter, name = Waiter(user_of(request.scope)), request.headers.get(REQUEST_ID, "")
    if name and not NAME.fullmatch(name):
        raise HTTPException(422, f"{REQUEST_ID} must be letters, digits and hyphens, at most 64 of them")
    waiter.id = name or waiter.id
    return waiter
