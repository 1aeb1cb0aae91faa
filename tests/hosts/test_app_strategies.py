"""Which study comes next: the one least like the references, somebody else's last."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

LIKENESS = {"a": {"liver": 0.9, "spleen": 0.8}, "b": {"liver": 0.95, "spleen": 0.3}, "c": {"liver": 0.7}}


class Datastore:
    """Says when a study was last handed out."""

    def __init__(self, **handed_out: float) -> None:
        self.handed_out = handed_out

    def get_image_info(self, study: str) -> dict:
        return {"strategy": {"next": {"ts": self.handed_out.get(study, 0)}}}


@pytest.fixture
def service():
    """Three pre-labelled studies; in "empty" nothing was found."""
    results = {
        name: SimpleNamespace(
            key=name, record={"label_info": [{"name": "liver"}], "expected_dice": {"liver": 0.9}}
        )
        for name in (*LIKENESS, "empty")
    }
    results["empty"].record["label_info"] = []
    return SimpleNamespace(
        unlabelled=lambda: list(results),
        given={},
        results=SimpleNamespace(
            likeness=lambda study, key: LIKENESS.get(study), latest_likeness=lambda study: LIKENESS.get(study)
        ),
        prelabels=lambda: results,
    )


def chosen(strategy, datastore=None) -> str | None:
    strategy._service.given.clear()  # what this server has handed out itself
    found = strategy({}, datastore or Datastore())
    return found and found["id"]


def test_next_is_the_study_whose_worst_class_is_least_like_the_references(service):
    from apps.iris_app.lib.strategies import NextStudy

    assert chosen(NextStudy(service)) == "b"


def test_a_study_without_foreground_in_view_comes_last(service):
    from apps.iris_app.lib.strategies import NextStudy

    now = time.time()
    assert "empty" not in NextStudy(service).weigh(["a", "empty", "c"])
    assert chosen(NextStudy(service), Datastore(a=now, b=now, c=now)) == "empty"


def test_a_study_whose_prelabel_is_stale_comes_after_all_fresh_ones_with_something_in_them(service):
    from apps.iris_app.lib.strategies import NextStudy

    fresh = service.prelabels()
    service.prelabels = lambda: {name: fresh[name] for name in ("a", "empty")}
    now = time.time()
    assert chosen(NextStudy(service)) == "a", "b and c would teach more, and are being computed"
    assert chosen(NextStudy(service), Datastore(a=now)) == "b"
    service.prelabels = dict
    assert chosen(NextStudy(service)) == "b"


def test_a_study_that_was_just_handed_out_goes_to_nobody_else_while_there_are_others(service):
    from apps.iris_app.lib.strategies import FirstStudy, NextStudy

    now = time.time()
    assert chosen(NextStudy(service), Datastore(b=now)) == "c"
    assert chosen(FirstStudy(service), Datastore(a=now)) == "b"
    assert chosen(FirstStudy(service), Datastore(a=now, b=now, c=now, empty=now)) == "a"


def test_random_reaches_every_study(service):
    from apps.iris_app.lib.strategies import RandomStudy

    assert {chosen(RandomStudy(service)) for _ in range(200)} == {"a", "b", "c", "empty"}


def test_when_all_are_labelled_there_is_no_next(service):
    from apps.iris_app.lib.strategies import RandomStudy

    service.unlabelled = list
    assert chosen(RandomStudy(service)) is None


def test_what_anybody_may_have_written_about_a_study_breaks_nothing():
    from apps.iris_app.lib.strategies import handed_out

    for junk in (None, 3, [], {"strategy": 3}, {"strategy": {"next": 3}}):
        assert handed_out(junk) == 0.0
    for time_ in ("x", None, float("nan"), [1]):
        assert handed_out({"strategy": {"next": {"ts": time_}}}) == 0.0
    assert handed_out({"strategy": {"a": {"ts": 4}, "b": {"ts": 7.5}, "c": []}}) == 7.5


def test_people_who_ask_at_the_same_moment_get_different_studies(service):
    from concurrent.futures import ThreadPoolExecutor

    from apps.iris_app.lib.strategies import NextStudy

    strategy, datastore = NextStudy(service), Datastore()
    with ThreadPoolExecutor(4) as people:
        given = list(people.map(lambda _: strategy({}, datastore)["id"], range(4)))
    assert sorted(given) == ["a", "b", "c", "empty"]
