"""Faults that may pass: nobody remembers them as a study's own, and all studies get done without help."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest

from apps.iris_app.catalogue.study import Study
from apps.iris_app.computing.result_store import ResultStore
from apps.iris_app.lib.state import State, read_json, stamp
from apps.iris_app.prelabels.job_control import resume
from apps.iris_app.prelabels.prelabelling import Prelabelling, default_key
from apps.iris_app.retries.attempts import Attempts
from apps.iris_app.retries.failures import Failures
from apps.iris_app.retries.pauses import FIRST, LONGEST, Pauses
from iris_core.errors import InputError, PassingError, may_pass
from iris_core.volume.volume import LabelVolume

FULL = OSError(errno.ENOSPC, "No space left on device")


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A job whose annotator writes results without a network, and fails as it is told.

    Args:
        root: of the state and seven images.
        clock: of the pauses.
    """

    def __init__(self, root, monkeypatch) -> None:
        self.state, self.clock, self.fault = State(root / "state"), Clock(), lambda study: None
        self.studies = {}
        for number in range(7):
            image = root / f"case_{number}.nii.gz"
            image.write_bytes(b"image")
            self.studies[image.name] = Study(image.name, image, stamp(image))
        self.results = ResultStore(self.state)
        entry = SimpleNamespace(study="ref", checksum="1", classes=("a",), problem="", since=1)
        image = Study("ref", root / "ref", "", None)
        self.catalogue = SimpleNamespace(
            usable=[entry], unlabelled=list(self.studies.values()), studies={**self.studies, "ref": image},
            problems={}, register=SimpleNamespace(numbers={"a": 1}),
        )  # fmt: skip
        monkeypatch.setattr("apps.iris_app.prelabels.prelabelling.Catalogue", lambda state: self.catalogue)
        monkeypatch.setattr("apps.iris_app.prelabels.prelabelling.RECHECK", 0.0)
        monkeypatch.setattr("apps.iris_app.prelabels.prelabelling.POLL", 0.0)
        self.job = self.new_job()

    def new_job(self) -> Prelabelling:
        job = Prelabelling(SimpleNamespace(
            state=self.state, results=self.results, weights="w", annotate=self.annotate,
            likeness=lambda *_: {"a": 0.5},
        ))  # fmt: skip
        job._failures.pauses._clock = job._comparison._pauses._clock = self.clock
        return job

    def annotate(self, catalogue, study, options, progress):
        error = self.fault(study)
        if error is not None:
            raise error
        label = LabelVolume(np.ones((2, 2, 2), np.uint8), np.eye(4))
        self.results.put(study, default_key(catalogue, study, "w"), label, {"classes": [], "label_info": []})

    def until_settled(self) -> dict:
        """What the job says when it has nothing more to do just now."""
        for _ in range(200):
            if not self.job.step() and not self.job._running:
                return read_json(self.state.progress, {})
        raise AssertionError("the job does not settle")

    def problems(self) -> list:
        return [p for p in self.state.results.rglob("*.json") if "problem" in read_json(p, {})]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    return Bench(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "error", [PassingError("cannot be written"), FULL, MemoryError(), OSError(errno.EACCES, "locked")]
)
def test_seven_passing_faults_are_told_as_such_and_all_studies_get_done_when_they_have_passed(bench, error):
    bench.fault = lambda study: error
    told = bench.until_settled()
    assert told["state"] == "waiting" and told["done"] == 0 and told["total"] == 7
    assert len(told["failed"]) == 7 and told["tried_again"] == sorted(bench.studies)
    assert 0 < told["retry_seconds"] <= FIRST and bench.problems() == []

    bench.fault = lambda study: None
    assert bench.until_settled()["done"] == 0, "too early"
    bench.clock.now += FIRST
    told = bench.until_settled()
    assert (told["state"], told["done"], told["total"], told["failed"]) == ("idle", 7, 7, {})


def test_pauses_grow_and_a_wish_ends_them(bench):
    tries = []
    bench.fault = lambda study: tries.append(study) or PassingError("locked")
    for _ in range(40):
        bench.clock.now += 1.0
        bench.until_settled()
    assert len(tries) == 7 * 5, "at 0, 2, 6, 14 and 30 seconds or so"
    bench.fault = lambda study: None
    resume(bench.state)
    assert bench.until_settled()["done"] == 7


def test_permanent_faults_are_kept_and_never_called_done(bench):
    tries = []
    bench.fault = lambda study: tries.append(study) or InputError("is a 2D image", where=study)
    told = bench.until_settled()
    assert (told["state"], told["done"], told["total"]) == ("idle", 0, 7)
    assert len(told["failed"]) == 7 and told["tried_again"] == [] and len(bench.problems()) == 7
    bench.clock.now += LONGEST
    resume(bench.state)
    bench.until_settled()
    assert len(tries) == 7


def test_a_fault_of_the_program_is_tried_three_times(bench):
    tries = []
    bench.fault = lambda study: tries.append(study) or (RuntimeError("oh") if "3" in study else None)
    for _ in range(5):
        told = bench.until_settled()
        bench.clock.now += LONGEST
    assert tries.count("case_3.nii.gz") == 3 and len(bench.problems()) == 1
    assert told["done"] == 6 and "RuntimeError: oh" in told["failed"]["case_3.nii.gz"]


def test_a_disk_that_is_full_for_everything_ends_no_job_and_all_is_done_later(bench, monkeypatch):
    import iris_core.volume_io.atomic as atomic

    def full(*_):
        raise FULL

    with monkeypatch.context() as patched:
        patched.setattr(atomic.os, "fsync", full)
        for _ in range(5):
            bench.job.step()
            bench.clock.now += 1.0
    assert bench.problems() == [] and not list(bench.state.results.rglob("*.json"))
    assert not [p for p in bench.state.root.rglob(".*") if p.is_file()], "nothing half-written stays"
    bench.clock.now += LONGEST
    told = bench.until_settled()
    assert (told["state"], told["done"], told["total"]) == ("idle", 7, 7)


def test_a_study_at_which_the_job_was_killed_twice_rests_and_the_others_go_on(bench):
    key = default_key(bench.catalogue, "case_2.nii.gz", "w")
    for _ in range(2):
        Attempts(bench.state.attempts).begin(key)
    bench.job = bench.new_job()
    bench.job._failures.pauses.failed(key, "killed")  # on the test's clock
    told = bench.until_settled()
    assert told["done"] == 6 and told["tried_again"] == ["case_2.nii.gz"]
    bench.clock.now += LONGEST
    assert bench.until_settled()["done"] == 7 and Attempts(bench.state.attempts).unfinished == {}


def test_one_kill_is_nothing_and_a_job_starts_with_what_it_was_at(bench):
    Attempts(bench.state.attempts).begin("one")
    for _ in range(3):
        Attempts(bench.state.attempts).begin("three")
    failures = Failures(bench.state, bench.results)
    assert not failures.pauses.waits("one") and failures.pauses.waits("three")


def test_an_image_that_is_away_is_a_passing_fault(bench):
    image = bench.studies["case_1.nii.gz"].image
    content, times = image.read_bytes(), image.stat()
    image.unlink()
    bench.fault = lambda study: None if bench.studies[study].image.exists() else InputError("no such file")
    assert bench.until_settled()["tried_again"] == ["case_1.nii.gz"]
    image.write_bytes(content)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    bench.clock.now += FIRST
    assert bench.until_settled()["done"] == 7


def test_types_and_causes_tell_what_may_pass():
    wrapped = InputError("cannot be read")
    wrapped.__cause__ = OSError(errno.EIO, "Input/output error")
    damaged = InputError("cannot be read")
    damaged.__cause__ = OSError("Not a gzipped file")
    assert may_pass(wrapped) and may_pass(PassingError("x")) and may_pass(MemoryError())
    assert not may_pass(damaged) and not may_pass(InputError("x")) and not may_pass(ValueError())


def test_pauses_double_up_to_five_minutes():
    clock = Clock()
    pauses = Pauses(clock)
    seconds = []
    for _ in range(10):
        pauses.failed("a")
        seconds.append(pauses.seconds_left)
    assert seconds[:3] == [FIRST, 2 * FIRST, 4 * FIRST] and seconds[-1] == LONGEST
    pauses.end()
    assert not pauses.waits("a") and pauses.failed("a") == 11
    pauses.succeeded("a")
    assert pauses.seconds_left is None and pauses.reasons == {}
