"""What pages of an allowed origin may send and read."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("starlette")  # collected without the hosts as well
from starlette.responses import PlainTextResponse

from apps.iris_app.door.origins import ANSWERED, ASKED, Origins

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]
ORIGIN = "https://viewer.example"


def answered(method: str, **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to a page."""
    sent = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    given = {"host": "server", "origin": ORIGIN} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {
        "type": "http", "method": method, "path": "/", "scheme": "https", "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }  # fmt: skip
    asyncio.run(Origins(PlainTextResponse("x"), [ORIGIN])(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


@pytest.mark.parametrize("name", ASKED)
def test_a_page_may_send_our_headers_and_no_other(name):
    asked = {"access_control_request_method": "PUT", "access_control_request_headers": name}
    assert answered("OPTIONS", **asked)[0] == 200
    assert answered("OPTIONS", **asked | {"access_control_request_headers": "X-Other"})[0] == 400


def test_a_page_may_read_our_headers():
    status, headers = answered("GET")
    assert status == 200 and headers["access-control-expose-headers"] == ", ".join(ANSWERED)
