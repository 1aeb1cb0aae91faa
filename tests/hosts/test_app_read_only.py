"""Studies in a folder that cannot be written to: they are served, and labels lie in the state folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pytest
import requests

from tests.hosts.app_server import AppServer, drawn, label_file, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

INFO = [{"name": "bright", "idx": 1}, {"name": "dark", "idx": 4}]


@pytest.fixture
def read_only(tmp_path) -> Iterator[tuple[Path, Path]]:
    """A folder that can be written to, and the same one where it cannot."""
    studies = tmp_path / "studies"
    write_studies(studies, 3)
    (studies / "labels/final").mkdir(parents=True)
    nib.save(drawn("case_3", {1: 1, 4: 4}), studies / "labels/final/case_3.nii.gz")
    if os.geteuid() != 0:
        pytest.skip("making a read-only mount needs root")
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    made = subprocess.run(["mount", "--bind", studies, mounted], capture_output=True)
    if made.returncode:
        pytest.skip("this machine lets nobody mount a folder")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
        yield studies, mounted
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)


def test_a_read_only_folder_is_served_and_nothing_in_it_changes(read_only, tmp_path):
    studies, mounted = read_only
    before = {path.relative_to(studies) for path in studies.rglob("*")}
    server = AppServer(mounted, tmp_path / "server", HOME=str(tmp_path / "home"))
    try:
        objects = server.get("/datastore/?output=all")["objects"]
        assert objects.keys() == {"case_1", "case_2", "case_3"} and "final" in objects["case_3"]["labels"]
        file = label_file(tmp_path, "case_1", {1: 1, 4: 4})
        server.client().save_label("case_1", file, params={"label_info": INFO})
        assert server.get("/history/case_1")["versions"][0]["current"]
        (home,) = (tmp_path / "home").glob(".cache/iris/*/datastore")
        assert {path.name for path in (home / "labels/final").iterdir()} == {
            "case_1.nii.gz", "case_3.nii.gz",
        }  # fmt: skip
        with open(studies / "case_2.nii.gz", "rb") as image:
            url = f"{server.url}/datastore/image?image=new"
            answer = requests.put(url, files={"file": image}, timeout=60)
        assert answer.status_code == 503 and "Read-only" in answer.json()["detail"]
        assert {path.relative_to(studies) for path in studies.rglob("*")} == before
        assert str(home) in server.log.read_text()
        shutil.copy(studies / "case_2.nii.gz", studies / "case_4.nii.gz")  # somebody else may write to it
        server.until(lambda: "case_4" in server.get("/datastore/?output=all")["objects"])
    finally:
        server.stop()
