"""The pre-label job: every unlabelled study once, most useful first, whole whenever it is killed."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from apps.iris_app.catalogue.catalogue import Catalogue
from apps.iris_app.computing.result_store import ResultStore
from apps.iris_app.lib.state import read_json
from apps.iris_app.prelabels.job_control import cancel, resume, want
from apps.iris_app.prelabels.prelabelling import Prelabelling, prelabels
from iris_core.errors import InputError
from iris_core.stored.checksum import checksum
from tests.app_folder import AppFolder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return AppFolder(tmp_path, count=4)


def run(folder) -> Prelabelling:
    job = Prelabelling(folder.annotator())
    job.run(until_done=True)
    return job


def finished(folder) -> dict:
    weights = folder.annotator().weights
    return prelabels(Catalogue(folder.state), ResultStore(folder.state), weights)


def test_every_unlabelled_study_is_prelabelled_once_and_none_that_is_labelled(folder, monkeypatch):
    folder.label("case_2")
    done = []
    annotate = type(folder.annotator()).annotate
    monkeypatch.setattr(
        "apps.iris_app.computing.annotator.Annotator.annotate",
        lambda self, catalogue, study, *a: done.append(study) or annotate(self, catalogue, study, *a),
    )
    run(folder)
    assert done == ["case_1", "case_3", "case_4"] == sorted(finished(folder))
    assert read_json(folder.state.progress, {})["state"] == "idle"

    run(folder)
    assert len(done) == 3


def test_nothing_is_done_without_a_reference(folder):
    run(folder)
    assert finished(folder) == {} and not folder.state.results.exists()


def test_a_new_label_makes_every_prelabel_stale(folder):
    folder.label("case_1")
    run(folder)
    before = {study: result.key for study, result in finished(folder).items()}
    folder.label("case_2")
    assert finished(folder) == {}
    run(folder)
    assert sorted(finished(folder)) == ["case_3", "case_4"]
    assert all(result.key != before[study] for study, result in finished(folder).items())


def test_a_study_that_somebody_opens_comes_first_and_then_the_least_like_the_references(folder, monkeypatch):
    folder.label("case_1")
    likeness = {"case_2": {"bright": 0.9}, "case_3": {"bright": 0.2, "dark": 0.95}, "case_4": {"bright": 0.5}}
    monkeypatch.setattr(ResultStore, "latest_likeness", lambda self, study: likeness[study])
    want(folder.state, "case_2")

    todo, done = Prelabelling(folder.annotator())._missing(folder.catalogue, "now")

    assert [study.id for study in todo] == ["case_2", "case_3", "case_4"] and done == 0


def test_a_study_that_cannot_be_read_is_named_and_holds_nothing_up(folder):
    (folder.root / "case_2.nii.gz").write_bytes(b"no image")
    folder.refresh()
    folder.label("case_1")
    run(folder)
    assert sorted(finished(folder)) == ["case_3", "case_4"]
    assert "case_2.nii.gz" in read_json(folder.state.progress, {})["failed"]["case_2"]


def test_a_fault_of_the_program_on_one_study_holds_nothing_up(folder, monkeypatch):
    folder.label("case_1")
    annotate = type(folder.annotator()).annotate

    def faulty(self, catalogue, study, *rest):
        if study == "case_3":
            raise RuntimeError("out of luck")
        return annotate(self, catalogue, study, *rest)

    monkeypatch.setattr("apps.iris_app.computing.annotator.Annotator.annotate", faulty)
    run(folder)
    assert sorted(finished(folder)) == ["case_2", "case_4"]
    assert "out of luck" in read_json(folder.state.progress, {})["failed"]["case_3"]


def test_a_cancelled_job_stops_and_goes_on_when_it_is_resumed(folder):
    folder.label("case_1")
    cancel(folder.state)
    run(folder)
    assert finished(folder) == {} and read_json(folder.state.progress, {})["state"] == "cancelled"
    resume(folder.state)
    run(folder)
    assert len(finished(folder)) == 3


def test_a_change_of_the_catalogue_stops_work_that_is_out_of_date(folder):
    folder.label("case_1")
    job = Prelabelling(folder.annotator())
    pause, calls = job._pause, []

    def label_meanwhile(seen):
        if not calls:
            calls.append(folder.label("case_2"))
        pause(seen)

    job._pause = label_meanwhile
    assert job.step()
    assert not list(folder.state.results.rglob("*.json"))
    job.run(until_done=True)
    assert sorted(finished(folder)) == ["case_3", "case_4"]


@pytest.mark.parametrize(("small", "side_by_side"), [(1 << 20, True), (0, False)])
def test_two_small_studies_are_computed_at_once_and_a_large_one_alone(
    folder, monkeypatch, small, side_by_side
):
    monkeypatch.setattr("apps.iris_app.prelabels.prelabelling.SMALL", small)
    folder.label("case_1")
    annotator, at_work, together = folder.annotator(), [], []
    annotate, met = type(annotator).annotate, threading.Barrier(2, timeout=3.0)

    def watched(self, catalogue, study, *rest):
        at_work.append(study)
        together.append(len(at_work))
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait()  # each stays until another one is there too
        try:
            return annotate(self, catalogue, study, *rest)
        finally:
            at_work.remove(study)

    monkeypatch.setattr("apps.iris_app.computing.annotator.Annotator.annotate", watched)
    Prelabelling(annotator, threads=2).run(until_done=True)

    assert max(together) == (2 if side_by_side else 1)
    assert sorted(finished(folder)) == ["case_2", "case_3", "case_4"] and len(together) == 3
    assert annotator.segmenter.encode_calls == 1  # the reference; studies are only compared with it


def test_a_job_with_nothing_to_do_opens_no_file(folder, monkeypatch):
    """The host watches the folder that the state lies in, and every opened file costs it milliseconds."""
    folder.label("case_1")
    job = Prelabelling(folder.annotator())
    job.run(until_done=True)
    opened = []

    def noted(path, *arguments, **keywords):
        opened.append(path)
        return open(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "open", noted)
    monkeypatch.setattr(
        Path, "read_text", lambda self, **k: opened.append(self) or self.read_bytes().decode()
    )

    assert not job.step() and opened == []
    folder.label("case_2")
    job._pool = ThreadPoolExecutor(1)
    assert job.step() and opened


def test_a_result_is_read_once_and_again_when_it_changes(folder, monkeypatch):
    store, read = ResultStore(folder.state), []
    monkeypatch.setattr(
        "apps.iris_app.computing.result_store.read_json",
        lambda path, default: read.append(path) or read_json(path, default),
    )
    assert store.find("case_1", "key") is None
    store.put_problem("case_1", "key", "one")
    assert [store.find("case_1", "key").record["problem"] for _ in range(3)] == ["one"] * 3 and len(read) == 1
    store.put_problem("case_1", "key", "two!")
    assert store.find("case_1", "key").record["problem"] == "two!" and len(read) == 2


def test_only_one_job_works_on_a_datastore(folder):
    with FileLock(folder.state.job_lock), pytest.raises(InputError, match="another pre-label job"):
        Prelabelling(folder.annotator()).run()


def test_the_likeness_of_every_prelabel_is_measured_when_nothing_else_is_to_do(folder):
    folder.label("case_1")
    run(folder)
    results = ResultStore(folder.state)
    for study, result in finished(folder).items():
        assert results.likeness(study, result.key) is not None


@pytest.mark.slow
def test_a_job_whose_starter_dies_during_the_imports_ends_too(folder):
    start = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'apps.iris_app.prelabel_job', *sys.argv[1:],"
        " '--parent', str(os.getpid())])\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", start, str(folder.state.root), "--checkpoint", str(folder.weights)]
    starter = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(0.5)
    starter.kill()
    told, _ = starter.communicate(timeout=60)  # its end of the pipe stays open for as long as the job lives
    assert "usage" not in told


STARTER = """
import os, sys
from apps.iris_app import prelabel_job
import apps.iris_app.computing.annotator, apps.iris_app.prelabels.prelabelling  # imported once for all jobs
for line in sys.stdin:
    job = os.fork()
    if not job:
        os._exit(prelabel_job.main())
    print(job, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_leaves_nothing_half_done(tmp_path):
    folder = AppFolder(tmp_path, count=12)
    final = folder.label("case_1")
    before = checksum(final)
    command = [sys.executable, "-c", STARTER, str(folder.state.root), "--checkpoint", str(folder.weights)]
    chance = random.Random(3)
    statuses = []
    with subprocess.Popen(
        [*command, "--until-done"], cwd=ROOT, text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as starter:  # fmt: skip
        for _ in range(4):
            done = records(folder)
            starter.stdin.write("start\n")
            job = int(starter.stdout.readline())
            while not ended(starter, 0.005) and len(records(folder)) == len(done):
                pass
            if not ended(starter, chance.uniform(0.0, 0.1)):  # somewhere within one of the next studies
                os.kill(job, signal.SIGKILL)
            statuses.append(int(starter.stdout.readline()))
            assert set(done) <= set(records(folder))
            for result in finished(folder).values():
                assert result.label().shape
        assert -signal.SIGKILL in statuses, "the job ended before it could be killed"
        starter.stdin.write("start\n")
        starter.stdout.readline()
        assert int(starter.stdout.readline()) == 0
    assert len(finished(folder)) == len(records(folder)) == 11 and checksum(final) == before


def ended(starter: subprocess.Popen, seconds: float) -> bool:
    """Whether the job that a starter has told the number of ends within so many seconds."""
    return bool(select.select([starter.stdout], [], [], seconds)[0])


def records(folder) -> list[Path]:
    return list(folder.state.results.rglob("[!.]*.json"))
