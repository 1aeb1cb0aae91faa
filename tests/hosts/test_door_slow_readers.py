"""Who reads slowly, or waits for something slow to be read, takes no thread that another route needs."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

READERS = 60
SOON = 20.0  # seconds in which a light route answers on any machine; without a thread it never would
LARGE = 24 << 20  # bytes, more than the buffers of 60 connections take


class SlowArchive(BaseHTTPRequestHandler):
    """Begins an answer and ends it when the test lets it."""

    asked = threading.Semaphore(0)
    go = threading.Event()
    stored: tuple[str, bytes] = ("", b"")

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"12")
        self.wfile.flush()
        type(self).asked.release()
        self.go.wait(120)
        self.wfile.write(b"34")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "-1"))
        type(self).stored = (self.headers["Content-Type"], self.rfile.read(length))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def slow_archive() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), SlowArchive)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/dicom-web"
    SlowArchive.go.set()
    server.shutdown()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A real server of our own routes, and of one that takes a thread of the common kind for a moment."""
    import uvicorn
    from fastapi import FastAPI

    from apps.iris_app.routes import archive, datastore, labels

    app = FastAPI()
    for module in (archive, datastore, labels):
        app.include_router(module.router)
    app.get("/light")(lambda: threading.current_thread().name)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    end = time.monotonic() + SOON
    while not server.started and time.monotonic() < end:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join(SOON)


def light(port: int) -> None:
    """Five people use a route that takes a thread for a moment."""
    for _ in range(5):
        answer = requests.get(f"http://127.0.0.1:{port}/light", timeout=SOON)
        assert answer.status_code == 200 and "AnyIO" in answer.text


@contextmanager
def readers(port: int, path: str) -> Iterator[list[socket.socket]]:
    """Sixty who ask for something and read nothing of the answer."""
    connections = []
    try:
        for _ in range(READERS):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(SOON)
            connection.connect(("127.0.0.1", port))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            connections.append(connection)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def test_an_archive_that_sends_slowly_holds_up_no_other_route(port, monkeypatch):
    from monailabel.config import settings

    with slow_archive() as url:
        monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", url)
        with readers(port, "/proxy/dicom/qido/studies") as connections:
            for _ in range(16):  # as many as the archive is asked for at once
                assert SlowArchive.asked.acquire(timeout=SOON)
            light(port)
            SlowArchive.go.set()
            answers = [connection.recv(4096) for connection in connections]
            assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


@pytest.mark.parametrize("size", [0, 1000, 3 << 20], ids=["nothing", "in memory", "on the disk"])
def test_what_is_stored_in_an_archive_arrives_whole(port, monkeypatch, size):
    from monailabel.config import settings

    body, kind = bytes(range(256)) * (size // 256) + b"x" * (size % 256), "multipart/related; boundary=b"
    with slow_archive() as url:
        monkeypatch.setattr(settings, "MONAI_LABEL_STUDIES", url)
        address = f"http://127.0.0.1:{port}/proxy/dicom/stow/studies"
        answer = requests.post(address, data=body, headers={"Content-Type": kind}, timeout=SOON)
    assert answer.status_code == 200 and SlowArchive.stored == (kind, body)


@pytest.fixture
def datastore(monkeypatch, tmp_path) -> SimpleNamespace:
    """A datastore of one large image and its label, whose label is read when the test lets it."""
    from apps.iris_app.routes import datastore, labels

    file = tmp_path / "case.nii.gz"
    with open(file, "wb") as sparse:
        sparse.truncate(LARGE)
    store = SimpleNamespace(file=file, go=threading.Event(), begun=threading.Semaphore(0))

    def current(study: str, tag: str) -> SimpleNamespace:
        store.begun.release()
        store.go.wait(120)
        return SimpleNamespace(file=file, mark="mark")

    submissions = SimpleNamespace(current=current, given=lambda *words: None)
    study = SimpleNamespace(image=file)
    service = SimpleNamespace(
        submissions=submissions, study=lambda name: study, lists=lambda name: True
    )  # fmt: skip
    for module in (datastore, labels):
        monkeypatch.setattr(module, "app_instance", lambda: SimpleNamespace(service=service))
    monkeypatch.setattr(datastore.host, "download_image", lambda name: _response(file))
    yield store
    store.go.set()


def _response(file: Path):
    from fastapi.responses import FileResponse

    return FileResponse(file)


def test_a_label_that_is_read_slowly_holds_up_no_other_route(port, datastore):
    with readers(port, "/datastore/label?label=case&tag=final"):
        for _ in range(8):  # as many as are read at once
            assert datastore.begun.acquire(timeout=SOON)
        light(port)
        datastore.go.set()


@pytest.mark.parametrize("path", ["/datastore/image?image=case", "/datastore/label?label=case&tag=final"])
def test_sixty_who_take_a_large_file_slowly_hold_up_no_other_route(port, datastore, path):
    datastore.go.set()
    with readers(port, path) as connections:
        heads = [connection.recv(1024) for connection in connections]
        assert all(head.startswith(b"HTTP/1.1 200") for head in heads)
        light(port)
