"""A full temporary folder: whoever sends or asks for a file is told so, and no file is left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.hosts.app_server import AppServer, label_file, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

INFO = [{"name": "bright", "idx": 1}, {"name": "dark", "idx": 4}]
ROOM = 6  # MB of the temporary folder


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Iterator[Path]:
    disk = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture(scope="module")
def server(disk, tmp_path_factory) -> Iterator[AppServer]:
    folder = tmp_path_factory.mktemp("studies")
    write_studies(folder, 3)
    server = AppServer(folder, tmp_path_factory.mktemp("server"), TMPDIR=str(disk))
    server.folder = folder
    yield server
    server.stop()


def fill(disk: Path) -> Path:
    """Takes the last byte of a disk."""
    ballast = disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return ballast
    return ballast


def put(server: AppServer, path: str, part: str, file: Path) -> requests.Response:
    with open(file, "rb") as content:
        return requests.put(
            f"{server.url}/datastore/{path}", files={part: (file.name, content)},
            data={"params": json.dumps({"label_info": INFO})}, timeout=120,
        )  # fmt: skip


def test_a_full_temporary_folder_is_told_and_nothing_is_left(server, disk, tmp_path):
    label = Path(label_file(tmp_path, "case_1", {1: 1, 4: 4}))
    assert put(server, "label?image=case_1", "label", label).status_code == 200
    asked = server.until(lambda: (r := server.post_infer("case_2")).status_code == 200 and r)
    assert asked.status_code == 200
    server.until(lambda: server.idle(2))
    large = tmp_path / "large.nii.gz"  # too much for memory: the framework puts it on the disk
    large.write_bytes(os.urandom((ROOM + 2) << 20))
    before = {path.name for path in disk.iterdir()}
    ballast = fill(disk)
    studies = {path.name for path in server.folder.iterdir()}
    answers = {
        "small label": put(server, "label?image=case_2", "label", label),
        "large label": put(server, "label?image=case_2", "label", large),
        "small image": put(server, "image?image=new", "file", server.folder / "case_3.nii.gz"),
        "large image": put(server, "image?image=new", "file", large),
        "answer": server.post_infer("case_2", "image"),
        "version": requests.post(f"{server.url}/history/case_1?version=1", timeout=60),
    }
    told = {name: (answer.status_code, answer.json().get("detail")) for name, answer in answers.items()}
    assert {status for status, _ in told.values()} == {507}, told
    assert all("room" in detail or "space" in detail for _, detail in told.values()), told
    assert {path.name for path in server.folder.iterdir()} == studies
    assert {path.name for path in disk.iterdir()} == before | {ballast.name}
    assert "final" not in server.get("/datastore/?output=all")["objects"]["case_2"]["labels"]

    ballast.unlink()
    assert put(server, "image?image=new", "file", server.folder / "case_3.nii.gz").status_code == 200
    assert server.post_infer("case_2", "image").status_code == 200
    server.until(lambda: {path.name for path in disk.iterdir()} <= before)  # it goes once it is sent
