"""Whether an archive answers is found out before a server is started on it."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from apps.iris_app.cli.archive_check import require_archive
from iris_core.cli.main import main
from iris_core.errors import InputError
from tests.app.test_door_options import started  # noqa: F401

# ruff: noqa: F811 - a fixture is named like what it gives


class Archive(BaseHTTPRequestHandler):
    """Answers as its class says."""

    status, body = 200, b"[]"

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *words):
        pass


@pytest.fixture
def archive():
    with HTTPServer(("127.0.0.1", 0), Archive) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "MONAI_LABEL_DICOMWEB_PASSWORD"),
        (404, b"", "HTTP 404"),
        (200, b"<html>", "no DICOMweb archive"),
        (200, b'{"a": 1}', "no DICOMweb archive"),
        (200, b"\xff\xfe", "no DICOMweb archive"),
    ],
)
def test_an_answer_that_is_none_of_an_archive_is_told(archive, status, body, said, monkeypatch):
    monkeypatch.setattr(Archive, "status", status)
    monkeypatch.setattr(Archive, "body", body)
    with pytest.raises(InputError, match=said):
        require_archive(archive)


class Dripping(Archive):
    """Sends a blank at a time, in its head or in its body, until the other side has gone."""

    ended_head = True

    def do_GET(self):
        self.send_response(200)
        if self.ended_head:
            self.end_headers()
        else:
            self.flush_headers()
            self.wfile.write(b"X-Slow: ")
        while not self.server.over.wait(0.02):
            self.wfile.write(b" ")


@pytest.mark.parametrize("ended_head", [False, True])
def test_an_archive_whose_answer_drips_does_not_hold_the_start(ended_head, monkeypatch):
    monkeypatch.setattr(Dripping, "ended_head", ended_head)
    monkeypatch.setattr("apps.iris_app.cli.archive_check.DEADLINE", 0.3)
    with HTTPServer(("127.0.0.1", 0), Dripping) as server:
        server.over = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(InputError, match=r"does not answer.*too slowly"):
            require_archive(f"http://127.0.0.1:{server.server_port}/dicom-web")
        assert time.monotonic() - began < 5
        server.over.set()
        server.shutdown()


def test_an_archive_that_answers_is_served(archive, started, monkeypatch, tmp_path):
    monkeypatch.setenv("IRIS_STATE", str(tmp_path))
    main(["serve", archive])
    assert archive in started[-1][0]


def test_an_archive_that_does_not_answer_is_told_in_one_sentence(started, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("IRIS_STATE", str(tmp_path))
    monkeypatch.setattr("apps.iris_app.cli.archive_check.PATIENCE", 0.3)
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        closed.bind(("127.0.0.1", 0))
        urls = (
            f"http://127.0.0.1:{closed.getsockname()[1]}/dicom-web",
            f"http://127.0.0.1:{silent.getsockname()[1]}/dicom-web",
            "http://nobody.invalid/dicom-web",
            "http://", "http://[::1", "http://a:99999/", "http://user:password@127.0.0.1/dicom-web",
        )  # fmt: skip
        for url in urls:
            assert main(["serve", url]) == 2, url
            said = capsys.readouterr().err
            assert len(said.strip().splitlines()) == 1 and "password@" not in said
    assert started == []
