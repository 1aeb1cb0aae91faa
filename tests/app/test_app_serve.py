"""`iris serve` before the host takes over: mistakes told, the index repaired, the worker kept alive."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from apps.iris_app.cli.archive import PLUGIN, Archive
from apps.iris_app.computing.worker_client import WorkerClient, WorkerLost
from apps.iris_app.datastores.index_copy import NAME, datastore_folder, keep_copy, repair_datastore
from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import State, file_word
from iris_core.cli.main import main
from iris_core.errors import InputError
from tests.app_folder import AppFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(monkeypatch):
    """MONAI Label seems to be there."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no studies given"),
        (["nowhere"], "no such folder"),
        (["http://archive", "--demo"], "--demo makes a folder"),
        (["http://archive", "--demo-dicom"], "--demo-dicom makes an archive"),
    ],
)
def test_a_wrong_use_is_told_in_one_line(installed, words, said, capsys):
    assert main(["serve", *words, "--port", "0"]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_host_is_told_with_the_command_that_installs_it(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve", "x"]) == 2
    assert "pip install 'iris-incontext[app]'" in capsys.readouterr().err


def test_a_taken_port_is_told(installed, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["serve", str(tmp_path), "--port", str(taken.getsockname()[1])]) == 2
    assert "choose another --port" in capsys.readouterr().err


def test_an_archive_of_somebody_else_is_never_taken_for_the_demonstrations_own(tmp_path, monkeypatch):
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"Name": "Hospital"}')

    (tmp_path / PLUGIN).touch()
    program = tmp_path / "Orthanc"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr("apps.iris_app.cli.archive.PLACES", (tmp_path,))
    monkeypatch.setattr("apps.iris_app.cli.archive.READY", 0.5)
    monkeypatch.setattr("shutil.which", lambda *a, **k: str(program))
    with HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        try:
            with pytest.raises(InputError, match="does not start"):
                Archive(tmp_path / "own", other.server_port)
        finally:
            other.shutdown()


def test_a_taken_port_of_the_demonstrations_archive_is_told(installed, tmp_path, capsys, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("apps.iris_app.cli.serve.ARCHIVE_PORT", port)
        assert main(["serve", str(tmp_path), "--demo-dicom", "--port", "0"]) == 2
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM cannot be caught there")
def test_a_demonstration_that_is_terminated_ends_its_server_and_its_archive(tmp_path):
    script = (
        "import argparse, sys\n"
        "from pathlib import Path\n"
        "from apps.iris_app.cli import archive, demo_archive, serve\n"
        "class Fake:\n"
        "    dicomweb = 'http://archive'\n"
        "    def __init__(self, folder, port): pass\n"
        "    def stop(self): print('stopped', flush=True)\n"
        "archive.Archive, demo_archive.fill_archive = Fake, lambda archive: None\n"
        "child = [sys.executable, '-c', 'import time; print(\"serving\", flush=True); time.sleep(60)']\n"
        "serve._prepared = lambda arguments, studies: (child, None)\n"
        "serve._refuse_taken_port = lambda host, port: None\n"
        "serve._serve_demo_archive(argparse.Namespace(studies=sys.argv[1], port=0))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "serving\n"
    process.terminate()
    told, _ = process.communicate(timeout=20)  # ends when the server's end of the pipe is closed too
    assert told == "stopped\n" and process.returncode == 143


def test_a_half_written_index_gives_way_to_the_last_whole_copy(tmp_path):
    state = State(tmp_path / ".iris")
    (tmp_path / NAME).write_text('{"name": "x"}')
    keep_copy(tmp_path, state)
    (tmp_path / NAME).write_text('{"name": ')
    keep_copy(tmp_path, state)
    repair_datastore(tmp_path, state)
    assert json.loads((tmp_path / NAME).read_text()) == {"name": "x"}
    assert (tmp_path / f"{NAME}.broken").is_file()


def test_without_a_copy_a_half_written_index_is_put_aside(tmp_path):
    (tmp_path / NAME).write_text("{")
    repair_datastore(tmp_path, State(tmp_path / ".iris"))
    assert not (tmp_path / NAME).exists()


def test_an_archives_index_lies_where_the_host_keeps_it(tmp_path):
    url = "http://127.0.0.1:1/dicom-web"
    folder = datastore_folder(url + "/", {"MONAI_LABEL_DICOMWEB_CACHE_PATH": str(tmp_path)})
    assert folder.parent == tmp_path and len(folder.name) == 32
    assert datastore_folder(str(tmp_path), {}) == tmp_path


def test_only_old_leftovers_are_swept(tmp_path):
    state = State(tmp_path)
    folder = state.results / "case"
    folder.mkdir(parents=True)
    for name, age in ((".old.json", 7200), (".new.json", 0), ("kept.json", 7200)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    state.sweep()
    assert {path.name for path in folder.iterdir()} == {".new.json", "kept.json"}


def test_different_ids_get_different_words():
    ids = ["a/b", "a_b", "a%2Fb", "A/B", "x" * 200, "x" * 201]
    assert len({file_word(name) for name in ids}) == len(ids)
    assert all("/" not in file_word(name) for name in ids)


@pytest.mark.slow
def test_the_worker_answers_tells_mistakes_and_comes_back_after_it_was_killed(tmp_path):
    folder = AppFolder(tmp_path)
    worker = WorkerClient(folder.state, folder.weights)
    try:
        with pytest.raises(InputError, match="no reference yet"):
            worker.annotate("case_2", Options())
        folder.label("case_1")
        key = worker.annotate("case_2", Options())
        assert folder.annotator().results.find("case_2", key)
        worker._process.kill()
        assert worker.annotate("case_2", Options()) == key
    finally:
        worker.close()


def test_a_worker_that_always_dies_is_given_up(tmp_path):
    worker = WorkerClient(State(tmp_path))
    worker._command = [sys.executable, "-c", "pass"]
    with pytest.raises(WorkerLost):
        worker.annotate("case", Options())
    worker.close()
