"""What a hostile client does to a connection and not to a route: the real door, on a server in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

from tests.hosts.raw_request import Request, form, send

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

TOKEN = "a-token-that-nobody-can-guess"
SOON = 20.0  # seconds
SILENT = 1500  # connections that say nothing
PAGES = ("http://evil.example/", "https://127.0.0.1/", "http://127.0.0.1.evil.example/", "http://[", "")
LOGIN = (("Authorization", f"Bearer {TOKEN}"),)


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("image") / "case.nii.gz"
    path.write_bytes(bytes(range(256)) * 4096)
    return path


@pytest.fixture(scope="module")
def port(image) -> Iterator[int]:
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import FileResponse
    from starlette.exceptions import HTTPException

    from apps.iris_app.cli.connections import allow_connections
    from apps.iris_app.door.entrance import behind_door
    from apps.iris_app.door.settings import DoorSettings
    from apps.iris_app.routes import archive, datastore, infer, labels, upload
    from apps.iris_app.routes.answers import with_reason

    allow_connections()
    inner = FastAPI()
    inner.add_exception_handler(HTTPException, with_reason)
    for module in (datastore, infer, labels, upload, archive):
        inner.include_router(module.router)
    inner.get("/info/")(lambda: {"name": "Iris"})
    inner.get("/")(lambda: {"name": "home"})
    service = SimpleNamespace(lists=lambda name: name == "case", datastore_is_archive=False)

    def require(request: dict) -> None:
        raise HTTPException(404, "no such study")

    app_instance = SimpleNamespace(service=service, in_context=SimpleNamespace(require=require))
    patches = pytest.MonkeyPatch()
    for module in (datastore, infer, labels, upload):
        patches.setattr(module, "app_instance", lambda: app_instance)
    patches.setattr(datastore.host, "download_image", lambda name: FileResponse(image))
    app = behind_door(inner, DoorSettings(tokens={TOKEN: "anna", f"{TOKEN}-2": "ben"}), [])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", backlog=4096))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    end = time.monotonic() + SOON
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join(SOON)
    patches.undo()


def raw(port: int, head: str, *pieces: bytes) -> bytes:
    """Sends bytes as they are; gives the answer as far as it came."""
    answer = b""
    connection = socket.create_connection(("127.0.0.1", port), SOON)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(head.replace("\n", "\r\n").encode("latin-1"))
        for piece in pieces:
            connection.sendall(piece)
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def status(answer: bytes) -> int:
    words = answer.split(None, 2)
    return int(words[1]) if len(words) > 1 else 0


def lives(port: int) -> None:
    answer = requests.get(f"http://127.0.0.1:{port}/info/", headers=dict(LOGIN), timeout=SOON)
    assert answer.status_code == 200


def test_a_body_without_an_end_is_cut_off_where_its_bound_is(port):
    login = f"Authorization: Bearer {TOKEN}\nConnection: close\n"
    head = f"POST /activelearning/next HTTP/1.1\nHost: 127.0.0.1\n{login}Content-Type: application/json\n"
    chunk = b"%x\r\n" % (1 << 16) + b"1" * (1 << 16) + b"\r\n"
    assert status(raw(port, f"{head}Transfer-Encoding: chunked\n\n", *[chunk] * 64)) in (0, 413)
    assert status(raw(port, f"{head}Content-Length: 99999999999\n\n", chunk * 20)) in (0, 413)
    for wrong in ("Content-Length: -1", "Content-Length: 1\nContent-Length: 2", "Transfer-Encoding: x"):
        assert status(raw(port, f"{head}{wrong}\n\n", b"1")) in (400, 501)
    lives(port)


@pytest.mark.parametrize(
    "head",
    [
        "GET /info/ HTTP/1.0\n\n",
        "GET /info/\n\n",
        "GET http://evil.example/info/ HTTP/1.1\nHost: evil.example\n\n",
        "GET http://127.0.0.1/info/ HTTP/1.1\nHost: evil.example\n\n",
        "CONNECT evil.example:443 HTTP/1.1\nHost: evil.example\n\n",
        "PRI * HTTP/2.0\n\nSM\n\n",
        "GET /info/ HTTP/1.1\nHost: 127.0.0.1\nHost: evil.example\n\n",
        "GET /info/ HTTP/1.1\nHost : 127.0.0.1\n\n",
        "GET /info/ HTTP/1.1\n Host: 127.0.0.1\n\n",
        "GET /ws HTTP/1.1\nHost: 127.0.0.1\nConnection: Upgrade\nUpgrade: websocket\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 13\n\n",
        "GET /info/ HTTP/1.1\nHost: 127.0.0.1\nX: " + "x" * 200_000 + "\n\n",
    ],
    ids=lambda head: head[:40].strip(),
)
def test_no_unusual_request_gets_in_even_with_the_token(port, head):
    login = f"\nAuthorization: Bearer {TOKEN}\nConnection: close\n\n"
    login = login.replace("Connection: close\n", "") if "Upgrade" in head else login
    answer = raw(port, head.removesuffix("\n\n") + login)
    assert status(answer) == 0 or 400 <= status(answer) < 500, answer[:200]
    lives(port)


def test_ranges_give_no_more_than_the_file_however_many_are_asked_for(port, image):
    size = image.stat().st_size
    asked = ("bytes=0-0", "bytes=5-", "bytes=-5", f"bytes=0-{size * 9}", "bytes=5-1", "bytes=x", "lines=1-2")
    many = "bytes=" + ",".join(f"{n}-{n}" for n in range(6000))
    for value in (*asked, many, "bytes=" + ",".join(["0-"] * 6000)):
        began = time.monotonic()
        reply = send(port, Request("GET", "/datastore/image?image=case", (*LOGIN, ("Range", value))))
        assert reply.status in (200, 206, 400, 416) and len(reply.body) <= 2 * size, value[:40]
        assert time.monotonic() - began < SOON
    lives(port)


def test_a_thousand_parts_of_a_form_are_no_form(port):
    parts = {f"part{n}": (f"{n}.nii.gz", b"x" * 1000) for n in range(1000)}
    fields = {f"field{n}": "x" for n in range(1000)}
    for method, path in (
        ("PUT", "/datastore/image?image=new"),
        ("PUT", "/datastore/label?image=case"),
        ("POST", "/infer/in_context?image=case"),
    ):
        for many in (parts, fields):
            headers, body = form(**many)
            assert send(port, Request(method, path, (*LOGIN, *headers), body)).status == 400
        part = ("x.nii.gz", b"x")
        headers, body = form(params='{"a": "' + "x" * 500_000 + '"}', label=part, file=part)
        assert send(port, Request(method, path, (*LOGIN, *headers), body)).status == 422
        broken = (("Content-Type", "multipart/form-data; boundary=b"),)
        nameless = b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"
        for body in (b"--b\r\n\r\n\r\n--b--", nameless, b"\0" * 99):
            assert send(port, Request(method, path, (*LOGIN, *broken), body)).status in (400, 422)


def test_a_token_counts_where_it_may_stand_and_nowhere_else(port):
    two = f"iris_token=evil; iris_token={TOKEN}"
    right = (
        Request("GET", "/info/", (("Cookie", two),)),
        Request("GET", "/info/", (("Cookie", "iris_token=evil"), *LOGIN)),
        Request("GET", "/info/", (("Cookie", f"iris_token={TOKEN}; iris_token=evil"),)),
        Request("GET", f"/t/{TOKEN}/info/", (("Authorization", "Bearer wrong"),)),
    )  # fmt: skip
    assert [send(port, request).status for request in right] == [200] * len(right)
    wrong = (
        Request("GET", "/t/wrong/info/", LOGIN), Request("GET", f"/info/?token={TOKEN}"),
        Request("GET", "/info/", (("X-Token", TOKEN), ("Proxy-Authorization", f"Bearer {TOKEN}"))),
        Request("GET", "/info/", (("Cookie", f"IRIS_TOKEN={TOKEN}"),)),
        Request("GET", "/info/", (("Cookie", f"x=iris_token={TOKEN}"),)),
        Request("GET", f"/x/../t/{TOKEN}/info/"), Request("GET", f"/T/{TOKEN}/info/"),
        Request("GET", "/?token=wrong", LOGIN),
    )  # fmt: skip
    assert {str(r): send(port, r).status for r in wrong} == {str(r): 401 for r in wrong}
    lost = ("/../info/", "//info/", "/%2e%2e/info/", "/./info/", "%2Finfo/", "/info/..;/")
    lost += (f"/t/{TOKEN}/info/",)
    replies = {path: send(port, Request("GET", f"/t/{TOKEN}{path}")).status for path in lost}
    assert set(replies.values()) <= {401, 404}, replies


def test_a_change_that_names_another_page_as_its_own_is_refused(port):
    """No Origin, as old browsers and some of today's plug-ins send it."""
    headers, body = form(params="{}")
    path = "/infer/in_context?image=nobody"
    for page in PAGES:
        request = Request("POST", path, (*LOGIN, *headers, ("Referer", page)), body)
        assert send(port, request).status == 403, page
    own = ("Referer", f"http://127.0.0.1:{port}/ohif/x?y")
    for more in ((own,), ()):
        request = Request("POST", path, (*LOGIN, *headers, *more), body)
        assert send(port, request).status == 404
    evil = (*LOGIN, ("Referer", "http://evil.example/"))
    assert send(port, Request("GET", "/info/", evil)).status == 200  # a link was followed


def test_those_who_connect_and_say_nothing_keep_nobody_out(port):
    """As many as the bound on open files allows, up to more than the usual thousand."""
    import resource

    bound = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    silent = min(SILENT, bound // 2 - 200)
    connections = []
    try:
        for number in range(silent):
            connection = socket.create_connection(("127.0.0.1", port), SOON)
            connection.sendall(b"GET /info/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: " if number % 2 else b"G")
            connections.append(connection)
        lives(port)
    finally:
        for connection in connections:
            connection.close()
