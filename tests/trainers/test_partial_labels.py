"""Laws of partial labels: what is annotated where, with and without the key."""

from __future__ import annotations

import pytest

from iris_core.errors import InputError
from nnunet_trainers.datasets.partial_labels import KEY, WHOLE, PartialLabels

LABELS = {"background": 0, "a/liver": 1, "b/tumour": 2}
ENTRY = {
    "format": 1,
    "groups": {"a_1": "a", "b_1": "b"},
    "annotated": {"a": ["a/liver"], "b": ["b/tumour"]},
    "weights": {"a": 2.0, "b": 1.0},
    "modalities": {"a": "ct"},
    "patients": {"a_1": "a_jane"},
    "test": [],
}


def test_a_dataset_without_the_key_is_one_group_that_annotates_everything():
    labels = PartialLabels.of_dataset({"labels": LABELS}, ["x", "y"])
    assert labels.groups == {"x": WHOLE, "y": WHOLE}
    assert labels.classes_of("y") == ("a/liver", "b/tumour")
    assert labels.weights == {WHOLE: 1.0}
    assert labels.modality_of("x") is None and labels.person_of("x") == "x"


def test_what_is_written_is_what_is_read():
    labels = PartialLabels.of_dataset({"labels": LABELS, KEY: ENTRY}, ["a_1", "b_1"])
    assert labels.to_json() == ENTRY
    assert labels.classes_of("b_1") == ("b/tumour",)
    assert labels.person_of("a_1") == "a_jane" and labels.modality_of("a_1") == "ct"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format"),
        ({"groups": {"a_1": "a"}}, "a group for case b_1"),
        ({"groups": {"a_1": "a", "b_1": "c"}}, "classes of group c"),
        ({"annotated": {"a": [], "b": ["b/tumour"]}}, "annotated.*of a"),
        ({"annotated": {"a": ["a/spleen"], "b": ["b/tumour"]}}, "a/spleen"),
        ({"weights": {"a": 0}}, "above 0"),
        ({"modalities": {"a": "xray"}}, "ct or mr or pet.*xray"),
    ],
)
def test_a_broken_key_is_refused_with_what_is_wrong(change, message):
    with pytest.raises(InputError, match=message):
        PartialLabels.of_dataset({"labels": LABELS, KEY: ENTRY | change}, ["a_1", "b_1"])
