"""Starts, ends and sudden deaths: plain start_server, an installed package, batch, training, kill -9."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import pytest

from apps.iris_app.lib.state import checksum
from iris_core.volume_io import read_label
from tests.hosts.app_server import ROOT, AppServer, drawn, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

COUNT = 5
KILLS = int(os.environ.get("IRIS_KILLS", "4"))
INSTALLED = (
    "iris_core",
    "apps",
    "sample_data",
    "nnunet_trainers",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
)


def labelled_folder(folder: Path, *, labels: int = 2) -> Path:
    """Studies of which the first ones are labelled, with names for all."""
    for study in write_studies(folder, COUNT)[:labels]:
        path = folder / "labels" / "final" / f"{study}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(drawn(study, {1: 1, 4: 2}), path)
    (folder / "labels.json").write_text('{"bright": 1, "dark": 2}')
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = labelled_folder(tmp_path_factory.mktemp("studies"))
    server = AppServer(folder, tmp_path_factory.mktemp("plain"), plain=True)
    server.folder = folder
    yield server
    server.stop()


def test_plain_start_server_serves_the_app_and_prelabels_too(plain):
    assert plain.get("/info/")["labels"] == ["bright", "dark"]
    plain.until(lambda: plain.idle(COUNT - 2))
    assert set(plain.until(lambda: len(plain.originals()) == 3 and plain.originals())) == {
        "case_3", "case_4", "case_5"
    }  # fmt: skip
    response = plain.post_infer("case_3", classes="dark")
    assert response.status_code == 200 and response.json()["classes"][0]["idx"] == 2
    assert plain.post_infer("nobody").status_code == 404
    assert "nobody else" in plain.get("/info/")["models"]["in_context"]["description"]


def test_a_batch_runs_without_a_gpu(plain):
    import requests

    for original in (plain.folder / "labels/original").glob("*.nii.gz"):
        original.unlink()
    plain.until(lambda: plain.originals() == {})
    requests.post(f"{plain.url}/batch/infer/in_context?images=unlabeled", json={})
    told = plain.until(lambda: _ended(plain.get("/batch/infer/")))
    assert told["status"] == "DONE", told["details"]
    plain.until(lambda: len(plain.originals()) == 3)


def test_the_training_button_tunes_and_its_result_is_used(plain):
    import requests

    requests.post(f"{plain.url}/train/in_context", json={})
    told = plain.until(lambda: _ended(plain.get("/train/")), 240)
    assert told["status"] == "DONE", told["details"]
    stats = plain.get("/info/")["train_stats"]["in_context"]
    (tuned,) = stats["by_modality"].values()
    assert tuned["after"] >= tuned["before"] and stats["best_metric"] == pytest.approx(tuned["after"])
    assert plain.post_infer("case_3").json()["strategy"] == "tuning"


def test_an_installed_package_serves_without_a_checkout(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    for name in INSTALLED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(site), str(source)]
    subprocess.run(pip, check=True, cwd=tmp_path, stderr=subprocess.DEVNULL)
    folder = labelled_folder(tmp_path / "studies", labels=1)

    server = AppServer(folder, tmp_path / "server", CWD=str(tmp_path), PYTHONPATH=str(site))
    try:
        response = server.post_infer("case_2")
        assert response.status_code == 200, response.text
        maps = Path(f"/proc/{server.get('/info/')['prelabels']['pid']}/cmdline")
        where = subprocess.run(
            [sys.executable, "-c", "import apps; print(apps.__file__)"], cwd=tmp_path, text=True,
            env=os.environ | {"PYTHONPATH": str(site)}, capture_output=True, check=True,
        )  # fmt: skip
        assert where.stdout.startswith(str(site)) and b"prelabel_job" in maps.read_bytes()
        assert not (site / "apps/iris_app/logs").exists()
    finally:
        server.stop()


def test_killed_at_any_moment_the_server_comes_back_and_no_label_is_lost_or_halved(tmp_path):
    folder = labelled_folder(tmp_path / "studies")
    finals = sorted((folder / "labels/final").iterdir())
    before = [checksum(path) for path in finals]
    chance = random.Random(5)
    for turn in range(KILLS):
        server = AppServer(folder, tmp_path / "server")
        try:
            time.sleep(chance.uniform(0, 6))
            if turn % 2:
                job = server.get("/info/")["prelabels"].get("pid")
                if job:
                    _kill(job)
                time.sleep(chance.uniform(0, 2))
            server.kill()
            assert [checksum(path) for path in finals] == before
        finally:
            server.stop()
    server = AppServer(folder, tmp_path / "server")
    try:
        server.until(lambda: server.idle(COUNT - 2))
        server.until(lambda: len(server.originals()) == COUNT - 2)
        for study in server.originals():
            path = folder / "labels/original" / f"{study}.nii.gz"
            server.until(lambda path=path: set(read_label(path).values) <= {1, 2})
        assert [checksum(path) for path in finals] == before
        records = list((folder / ".iris/results").rglob("[!.]*.json"))
        assert len(records) == COUNT - 2
    finally:
        server.stop()


def test_a_half_written_index_is_repaired_from_the_copy_and_keeps_the_names(tmp_path):
    folder = tmp_path / "studies"
    write_studies(folder, 3)
    server = AppServer(folder, tmp_path / "server")
    try:
        file = tmp_path / "drawn.nii.gz"
        nib.save(drawn("case_1", {1: 5}), file)
        info = [{"name": "spleen", "idx": 5}]
        server.client().save_label("case_1", str(file), params={"label_info": info})
        index = folder / "datastore_v2.json"
        server.until(lambda: "spleen" in (folder / ".iris/datastore_v2.json").read_text())
    finally:
        server.stop()
    index.write_text(index.read_text()[:80])
    server = AppServer(folder, tmp_path / "server")
    try:
        assert server.get("/info/")["labels"] == ["spleen"]
    finally:
        server.stop()


def _ended(task: dict | list) -> dict | None:
    task = task[-1] if isinstance(task, list) else task
    return task if task.get("status") in ("DONE", "ERROR", "STOPPED") else None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
