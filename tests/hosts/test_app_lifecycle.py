"""Starts, ends and sudden deaths: plain start_server, an installed package, batch, training, kill -9."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nibabel as nib
import pytest

from iris_core.errors import InputError
from iris_core.stored.checksum import checksum
from iris_core.volume_io import read_label
from tests.hosts.app_server import ROOT, AppServer, drawn, write_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

COUNT = 5
KILLS = 20
INSTALLED = (
    "iris_core",
    "apps",
    "sample_data",
    "nnunet_trainers",
    "setup.cfg",
    "pyproject.toml",
    "README.md",
)


def labelled_folder(folder: Path, *, labels: int = 2, studies: int = COUNT) -> Path:
    """Studies of which the first ones are labelled, with names for all."""
    for study in write_studies(folder, studies)[:labels]:
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


def test_killed_at_any_moment_nothing_is_lost_or_halved_or_done_twice(tmp_path):
    """Twenty kills while studies are computed: of the job three times, then of the server, and again."""
    folder = tmp_path / "studies"
    labelled_folder(folder, studies=8)
    finals = sorted((folder / "labels/final").iterdir())
    before = [checksum(path) for path in finals]
    chance, done, kills, job = random.Random(5), {}, 0, 0
    while kills < KILLS:
        server = AppServer(folder, tmp_path / "server")
        try:
            for target in ("job", "job", "job", "server"):
                # another name for a class: every result is out of date, and no label has changed
                (folder / "labels.json").write_text(f'{{"bright": 1, "dark {kills}": 2}}')
                job = server.until(partial(_at_work, server, job))
                time.sleep(chance.uniform(0, 1.5))
                server.kill() if target == "server" else _kill(job)
                kills += 1
                assert [checksum(path) for path in finals] == before
                found = _records(folder)
                assert all(found.get(path, when) == when for path, when in done.items()), "done twice"
                done = found
                assert all(map(_whole, done))
        finally:
            server.stop()
    server = AppServer(folder, tmp_path / "server")
    try:
        server.until(lambda: server.idle(6) and len(server.originals()) == 6)
        names = {"bright", f"dark {kills - 1}"}
        server.until(lambda: all(_names(o) <= names for o in server.originals().values()))
        numbers = set(server.get("/info/")["models"]["in_context"]["labels"].values())
        for study in server.originals():
            path = folder / "labels/original" / f"{study}.nii.gz"
            assert set(read_label(path).values) <= numbers
        assert [checksum(path) for path in finals] == before
        found = _records(folder)
        assert all(found.get(path, when) == when for path, when in done.items()), "done twice"
        assert len({path.parent for path in found}) == 6
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


def _at_work(server: AppServer, killed: int) -> int | None:
    """The process of the job while it computes a study; one that was killed has told so too."""
    told = server.get("/info/")["prelabels"]
    return told["pid"] if told["state"] == "running" and told["pid"] != killed else None


def _records(folder: Path) -> dict[Path, int]:
    """The records of finished results and when they were written."""
    found = {}
    for path in (folder / ".iris/results").rglob("[!.]*.json"):
        with contextlib.suppress(FileNotFoundError):  # an old one that has just been forgotten
            found[path] = path.stat().st_mtime_ns
    return found


def _whole(record: Path) -> bool:
    """Whether the label of a record can be read, or both are forgotten by now."""
    try:
        return set(read_label(record.with_suffix(".nii.gz")).values) <= {
            *json.loads(record.read_text())["label_names"].values()
        }
    except (FileNotFoundError, InputError):
        return not record.exists()


def _names(original: dict) -> set[str]:
    return {entry["name"] for entry in original["info"]["label_info"]}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
