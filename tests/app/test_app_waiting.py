"""The queue: one computing for all who want the same, in turn; left at any time without harm to others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.iris_app.computing.worker_client import WorkerLost, WorkerStopped
from apps.iris_app.lib.options import LONGEST, WITHHOLD_BELOW, Options, read_time_limit
from apps.iris_app.waiting.eta import Pace
from apps.iris_app.waiting.line import MOST, Line
from apps.iris_app.waiting.order import LeftQueue, Order, Waiter
from apps.iris_app.waiting.shared_run import SharedRun
from iris_core.errors import InputError

SOON = 10.0  # seconds in which anything here happens, on any machine


class Computer:
    """Computes a study when the test lets it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.stops = self.closes = 0
        self.go = threading.Semaphore(0)
        self.faults: dict[str, Exception] = {}
        self._stopped = threading.Event()

    def annotate(self, study, options, progress, wanted) -> str:
        self._stopped.clear()  # whatever was stopped has ended by now
        if not wanted():
            raise WorkerStopped
        self.begun.append(study)
        progress(1, 4)
        while not self.go.acquire(timeout=0.005):
            if self._stopped.is_set():
                raise WorkerStopped
        if study in self.faults:
            raise self.faults[study]
        return f"key of {study}"

    def stop(self) -> None:
        self.stops += 1
        self._stopped.set()

    def close(self) -> None:
        self.closes += 1


@pytest.fixture
def computer():
    return Computer()


@pytest.fixture
def line(computer):
    line = Line(computer, lambda study, options: None)
    yield line
    line.close("the test has ended")


def ask(line: Line, study: str, **options) -> Waiter:
    return line.join(study, Options(**options), f"wanted {study} {options}", Waiter())


def until(true) -> None:
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def test_twenty_who_ask_for_one_study_at_once_get_one_computing(line, computer):
    with ThreadPoolExecutor(20) as people:
        waiters = list(people.map(lambda _: ask(line, "a"), range(20)))
    computer.go.release()
    assert {waiter.key.result(SOON) for waiter in waiters} == {"key of a"}
    assert computer.begun == ["a"] and line.places() == []


def test_other_options_of_a_study_are_computed_on_their_own(line, computer):
    waiters = [ask(line, "a"), ask(line, "a", spacing="preview"), ask(line, "a", device="cpu")]
    for _ in waiters:
        computer.go.release()
    assert [waiter.key.result(SOON) for waiter in waiters] == ["key of a"] * 3 and len(computer.begun) == 3


def test_answers_come_in_the_order_of_the_requests_and_positions_say_so(line, computer):
    waiters = [ask(line, study) for study in "abc"]
    until(lambda: line.places()[0]["windows"])
    places = line.places()
    assert [place["position"] for place in places] == [0, 1, 2]
    assert [place["state"] for place in places] == ["computing", "waiting", "waiting"]
    assert [place["id"] for place in places] == [waiter.id for waiter in waiters]
    assert places[0]["windows"] == [1, 4] and places[0]["eta_seconds"] is not None
    computer.go.release()
    waiters[0].key.result(SOON)
    until(lambda: line.place(waiters[1].id)["position"] == 0)
    assert line.place(waiters[0].id) is None and line.place("nobody") is None


def test_one_who_leaves_is_told_why_and_the_others_of_the_same_study_stay(line, computer):
    first, second = ask(line, "a"), ask(line, "a")
    assert line.leave(first.id, "taken out") and not line.leave(first.id, "again")
    with pytest.raises(LeftQueue, match="taken out"):
        first.key.result(SOON)
    computer.go.release()
    assert second.key.result(SOON) == "key of a" and computer.stops == 0


def test_a_study_that_nobody_waits_for_any_more_is_not_begun_and_one_at_work_is_stopped(line, computer):
    at_work, dropped, last = ask(line, "a"), ask(line, "b"), ask(line, "c")
    until(lambda: computer.begun == ["a"])
    line.leave(dropped.id, "")
    line.leave(at_work.id, "")
    until(lambda: computer.begun == ["a", "c"])
    computer.go.release()
    assert last.key.result(SOON) == "key of c" and computer.stops == 1


def test_who_asks_for_a_study_that_is_just_being_stopped_gets_it_computed_anew(line, computer):
    first = ask(line, "a")
    until(lambda: computer.begun == ["a"])
    line.leave(first.id, "")
    second = ask(line, "a")
    until(lambda: computer.begun == ["a", "a"])
    computer.go.release()
    assert second.key.result(SOON) == "key of a"


def test_a_hundred_who_come_and_go_leave_nothing_behind(line, computer):
    waiters = [ask(line, f"study {n % 7}", spacing=str(1 + n % 3)) for n in range(100)]
    with ThreadPoolExecutor(8) as people:
        assert all(people.map(lambda waiter: line.leave(waiter.id, "gone"), waiters))
    assert line.places() == []
    last = ask(line, "z")
    until(lambda: computer.begun[-1] == "z")
    computer.go.release()
    assert last.key.result(SOON) == "key of z"


def test_a_study_that_fails_tells_its_own_people_alone(line, computer):
    computer.faults = {"a": InputError("no image"), "b": WorkerLost("gone"), "c": RuntimeError("a fault")}
    waiters = [ask(line, study) for study in "aabcd"]
    for _ in "abcd":
        computer.go.release()
    for waiter, fault in zip(waiters, (InputError, InputError, WorkerLost, RuntimeError), strict=False):
        with pytest.raises(fault):
            waiter.key.result(SOON)
    assert waiters[-1].key.result(SOON) == "key of d"


def test_what_is_there_by_the_time_of_its_turn_is_not_computed(computer):
    """As when the pre-label job was quicker, or a new label changed what two requests want into the same."""
    line = Line(computer, lambda study, options: "kept" if study == "b" else None)
    first, second = ask(line, "a"), ask(line, "b")
    computer.go.release()
    assert first.key.result(SOON) == "key of a" and second.key.result(SOON) == "kept"
    assert computer.begun == ["a"]


def test_a_line_that_closes_sends_everybody_away_and_takes_nobody(line, computer):
    waiters = [ask(line, study) for study in "aab"]
    line.close("the server is about to end")
    for waiter in waiters:
        with pytest.raises(LeftQueue, match="about to end"):
            waiter.key.result(SOON)
    with pytest.raises(LeftQueue):
        ask(line, "c")
    assert computer.closes == 1


def test_a_line_that_rests_gives_memory_back_once_and_works_again(computer):
    line = Line(computer, lambda *_: None, rest=0.01)
    for study in "ab":
        computer.go.release()
        ask(line, study).key.result(SOON)
        until(lambda: computer.closes == len(computer.begun))
    time.sleep(0.05)
    assert computer.closes == 2


def test_too_many_are_refused_and_so_is_a_name_that_is_taken(line):
    first = ask(line, "a")
    with pytest.raises(InputError, match="this id"):
        line.join("b", Options(), "b", Waiter(id=first.id))
    for number in range(MOST - 1):
        ask(line, str(number))
    with pytest.raises(InputError, match="Too many"):
        ask(line, "one more")


def test_a_wait_that_was_cut_short_is_passed_over(line, computer):
    """An asyncio task that is cancelled cancels the future that it waits for."""
    first, second = ask(line, "a"), ask(line, "a")
    assert first.key.cancel()
    computer.go.release()
    assert second.key.result(SOON) == "key of a"


def test_the_time_to_go_follows_what_orders_took_and_how_far_the_first_one_is():
    pace = Pace(lambda: 8.0)
    waiting = Order("a", Options(), "", [])
    assert pace.eta([waiting, waiting]) == 16.0  # by what is known from elsewhere
    pace.note(2.0), pace.note(4.0)
    assert pace.eta([waiting]) == 3.0
    begun = Order("a", Options(), "", [], began=time.monotonic() - 6.0, windows=(3, 4))
    assert pace.eta([begun]) == pytest.approx(2.0, abs=0.2)  # three windows in six seconds
    late = Order("a", Options(), "", [], began=time.monotonic() - 60.0)
    assert pace.eta([late, waiting]) == 3.0
    assert Pace().eta([waiting]) is None


@pytest.mark.parametrize(
    "given", [0, -1, "0", "-5", "1e9", LONGEST + 1, "nan", "inf", "-inf", "soon", "1e400", True]
)
def test_a_time_limit_that_nobody_could_mean_is_refused_in_a_sentence(given):
    with pytest.raises(InputError, match="Unusable time_limit"):
        read_time_limit({"time_limit": given})


@pytest.mark.parametrize(("given", "seconds"), [("", None), (None, None), ("2.5", 2.5), (["7"], 7.0)])
def test_a_time_limit_is_seconds_or_none(given, seconds):
    assert read_time_limit({"time_limit": given}) == seconds


def test_the_time_limit_and_the_bar_are_no_part_of_what_is_computed():
    assert Options(time_limit=3.0, withhold_below=0.9).decisive == Options().decisive
    assert Options().withhold_below == WITHHOLD_BELOW


def test_who_is_dropped_is_the_very_request_and_not_a_later_one_of_the_same_name(line, computer):
    first = line.join("a", Options(), "a", Waiter(id="mine"))
    computer.go.release()
    first.key.result(SOON)
    until(lambda: not line.places())
    second = line.join("b", Options(), "b", Waiter(id="mine"))
    assert not line.drop(first) and line.place("mine")
    computer.go.release()
    assert second.key.result(SOON) == "key of b"


def test_a_request_has_its_place_before_it_is_known_what_it_waits_for(line, computer):
    at_work, coming, other = ask(line, "a"), Waiter(id="coming"), Waiter(id="other")
    until(lambda: computer.begun == ["a"])
    line.enter("b", coming)
    line.enter("c", other)
    places = {place["id"]: (place["state"], place["position"]) for place in line.places()}
    assert places == {at_work.id: ("computing", 0), "coming": ("reading", 1), "other": ("reading", 2)}
    with pytest.raises(InputError, match="waits already"):
        line.enter("b", Waiter(id="coming"))
    line.join("b", Options(), "wanted b", coming)
    assert line.place("coming")["state"] == "waiting" and line.place("other")["position"] == 2
    assert line.leave("other", "taken out")
    line.join("c", Options(), "wanted c", other)  # it has left: nothing is computed for it
    with pytest.raises(LeftQueue, match="taken out"):
        other.key.result(SOON)
    for _ in range(2):
        computer.go.release()
    assert coming.key.result(SOON) == "key of b" and computer.begun == ["a", "b"] and line.places() == []


def test_a_line_that_closes_sends_those_away_whose_labels_are_being_read(line):
    coming = Waiter()
    line.enter("a", coming)
    line.close("the end")
    with pytest.raises(LeftQueue, match="the end"):
        coming.key.result(SOON)
    with pytest.raises(LeftQueue):
        line.enter("a", Waiter())


def test_threads_that_ask_while_work_is_done_share_the_next_run():
    """None of them gets the run that had begun before they asked, and none waits for a third one."""
    runs, go = [], threading.Semaphore(0)

    def work() -> None:
        runs.append(len(runs) + 1)
        assert go.acquire(timeout=SOON)

    shared = SharedRun(work)
    with ThreadPoolExecutor(11) as threads:
        first = threads.submit(shared.run)
        until(lambda: runs == [1])
        others = [threads.submit(shared.run) for _ in range(10)]
        go.release()
        first.result(SOON)
        until(lambda: runs == [1, 2])
        go.release()
        for other in others:
            other.result(SOON)
    assert runs == [1, 2]


def test_a_run_that_fails_is_done_again_by_one_who_waits_for_it():
    runs, go = [], threading.Event()

    def work() -> None:
        runs.append(len(runs) + 1)
        assert go.wait(SOON)
        if len(runs) == 2:
            raise OSError("the datastore is away")

    shared = SharedRun(work)
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(shared.run)
        until(lambda: runs == [1])
        others = [threads.submit(shared.run) for _ in range(2)]
        go.set()
        first.result(SOON)
        faults = [other.exception(SOON) for other in others]
    assert runs == [1, 2, 3] and sorted(map(type, faults), key=str) == sorted([OSError, type(None)], key=str)


def test_a_reference_that_changes_without_pause_is_left_out_at_last(monkeypatch, tmp_path):
    from types import SimpleNamespace

    from apps.iris_app import worker
    from apps.iris_app.catalogue import catalogue
    from apps.iris_app.lib.state import State

    tried = []

    def annotate(known, study, options, progress):
        tried.append(options.banned)
        if "restless" not in options.banned:
            raise catalogue.Outdated("its final label has just changed", where="restless")
        if study == "restless image":
            raise catalogue.Outdated("its image has just changed", where=study)
        return SimpleNamespace(key="the key")

    known = SimpleNamespace(references={"restless": None, "calm": None})
    monkeypatch.setattr(catalogue, "Catalogue", lambda state: known)
    monkeypatch.setattr(worker, "PAUSE", 0.0)
    annotator = SimpleNamespace(state=State(tmp_path), annotate=annotate)
    options = {"banned": ["other"], "device": "cpu"}

    def asked(study):
        return worker._answer(annotator, {"study": study, "options": options}, lambda done, total: None)

    assert asked("case") == {"key": "the key"}
    assert tried == [("other",)] * worker.TRIES + [("other", "restless")]
    assert "image has just changed" in asked("restless image")["problem"]
