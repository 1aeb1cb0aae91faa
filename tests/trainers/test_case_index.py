"""Who may take part in an episode. Paper: Algorithm 1, lines 5-7."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from iris_core.errors import InputError
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.episodes.case_index import CaseIndex

LABELS = PartialLabels(
    groups={"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B"},
    annotated={"A": ("liver", "spleen"), "B": ("spleen",)},
    weights={"A": 1.0, "B": 3.0},
    patients={"a1": "Ann", "a2": "Ann"},
)
HELD = {"a1": ["liver"], "a2": ["liver", "spleen"], "a3": ["spleen"], "b1": ["liver", "spleen"], "b2": []}


def drawn(index: CaseIndex, count: int = 200, *, anywhere: bool = False):
    rng = np.random.default_rng(0)
    return [index.draw(rng, anywhere=anywhere) for _ in range(count)]


def test_reference_and_query_are_of_one_dataset_and_of_two_persons():
    for pair in drawn(CaseIndex(HELD, LABELS)):
        assert LABELS.groups[pair.reference] == LABELS.groups[pair.query] == pair.group
        assert LABELS.person_of(pair.reference) != LABELS.person_of(pair.query)


def test_the_reference_holds_the_class_and_the_query_does_where_one_can():
    index = CaseIndex(HELD, LABELS)
    for pair in drawn(index):
        assert pair.lead in index.held[pair.reference]
        if pair.group == "A" and pair.lead == "spleen":
            assert {pair.reference, pair.query} == {"a2", "a3"}


def test_a_class_that_a_dataset_does_not_annotate_is_never_drawn_from_it():
    pairs = drawn(CaseIndex(HELD, LABELS))  # b1 holds voxels of a liver that nobody answers for
    assert {pair.lead for pair in pairs if pair.group == "B"} == {"spleen"}


def test_datasets_are_drawn_by_their_weights():
    counts = Counter(pair.group for pair in drawn(CaseIndex(HELD, LABELS), 2000))
    assert counts["B"] / 2000 == pytest.approx(0.75, abs=0.04)


def test_a_query_drawn_anywhere_may_lack_the_class():
    pairs = drawn(CaseIndex({"b1": ["spleen"], "b2": []}, LABELS), anywhere=True)
    assert {(pair.reference, pair.query) for pair in pairs} == {("b1", "b2")}


def test_validation_queries_come_from_its_own_cases_alone():
    pairs = drawn(CaseIndex(HELD, LABELS, queries=["a3"]))
    assert {pair.query for pair in pairs} == {"a3"} and {pair.reference for pair in pairs} == {"a1", "a2"}


def test_every_task_can_be_asked_for():
    index = CaseIndex(HELD, LABELS)
    assert index.tasks == (("A", "liver"), ("A", "spleen"), ("B", "spleen"))
    rng = np.random.default_rng(0)
    for group, lead in index.tasks:
        pair = index.draw(rng, anywhere=False, task=(group, lead))
        assert (pair.group, pair.lead) == (group, lead) and lead in index.held[pair.reference]


@pytest.mark.parametrize(
    "held", [{"a1": ["liver"]}, {"a1": ["liver"], "a2": ["liver"]}, {"b1": ["liver"], "b2": ["liver"]}]
)
def test_cases_that_make_no_episode_are_told(held):
    with pytest.raises(InputError, match="no episode can be drawn; expected two cases of different persons"):
        CaseIndex(held, LABELS)
