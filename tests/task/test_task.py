"""Laws of tasks: references in, masks of a query in its own grid out; mistakes told in one line."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.quality import dice_from_overlap, soft_overlap
from iris_core.segmenter import Segmenter
from iris_core.strategies import STRATEGIES, tune
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.volume import LabelVolume
from tests.tiny import QUICK, network, study


def segmenter() -> Segmenter:
    return Segmenter(network(), window=(32, 32, 32), **QUICK)


def reference(seed: int = 0, **options) -> Reference:
    return Reference(*study(seed, **options), name=f"study {seed}")


def relabelled(values: dict[int, int], names: dict[int, str], seed: int = 0) -> Reference:
    image, label = study(seed)
    array = np.zeros_like(label.array)
    for old, new in values.items():
        array[label.array == old] = new
    return Reference(image, LabelVolume(array, label.affine, names), name=f"study {seed}")


def encoded(references: list[Reference], **options):
    return encode_task(segmenter(), references, **{"modality": "mr", "spacing": 2.0} | options)


def test_classes_are_joined_by_name_and_numbered_as_where_a_name_first_occurs():
    other = relabelled({1: 9, 4: 2}, {9: "dark", 2: "new"}, seed=1)
    task = encoded([reference(), other])
    assert [(c.name, c.value) for c in task.classes] == [("bright", 1), ("new", 2), ("dark", 4)]
    assert [e.names for e in task.pool] == [("bright", "dark"), ("new", "dark")]


def test_wanted_classes_alone_are_encoded():
    task = encoded([reference()], classes=["dark"])
    assert task.names == ("dark",) and task.pool[0].names == ("dark",)


def test_each_reference_is_encoded_once_whatever_the_number_of_queries():
    runner = segmenter()
    task = encode_task(runner, [reference(0), reference(1)], modality="mr", spacing=2.0)
    for seed in (2, 3):
        apply_task(runner, task, study(seed)[0])
    assert runner.encode_calls == 2


@pytest.mark.parametrize("strategy", [s for s in STRATEGIES if s != "tuning"])
def test_a_prediction_lies_on_the_query_s_own_grid(strategy):
    query = study(5, shape=(20, 31, 25))[0]
    task = encoded([reference(0), reference(1)], strategy=strategy)
    found = apply_task(segmenter(), task, query)
    assert found.label.shape == query.shape and found.masks.shape == (2, *query.shape)
    np.testing.assert_array_equal(found.label.affine, query.affine)
    assert set(np.unique(found.label.array)) <= {0, 1, 4}
    assert found.label.names == {1: "bright", 4: "dark"}
    assert set(found.quality) == {"bright", "dark"} and all(0 <= q <= 1 for q in found.quality.values())
    assert set(found.references_used) == {"bright", "dark"}
    assert {name for used in found.references_used.values() for name in used} <= {"study 0", "study 1"}


def test_the_label_map_is_the_masks_wherever_one_class_alone_claims_a_voxel():
    found = apply_task(segmenter(), encoded([reference()]), study(1)[0])
    claims = found.masks.sum(0)
    assert ((found.label.array > 0) == (claims > 0)).all()
    for value, mask in zip((1, 4), found.masks, strict=True):
        assert (found.label.array[mask & (claims == 1)] == value).all()


def test_an_overlapping_label_shows_every_class_s_whole_mask():
    found = apply_task(segmenter(), encoded([reference()]), study(1)[0])
    np.testing.assert_array_equal(found.overlapping_label().masks([1, 4]), found.masks)


def test_masks_that_nobody_asks_for_take_no_memory():
    found = apply_task(segmenter(), encoded([reference()]), study(1)[0])
    assert "masks" not in vars(found)


def test_one_reference_is_one_shot_and_several_are_an_ensemble_unless_told():
    assert encoded([reference()]).strategy == "one-shot"
    assert encoded([reference(), reference(1)]).strategy == "ensemble"
    assert encoded([reference()], strategy="retrieval").strategy == "retrieval"


def test_progress_of_encoding_reaches_its_total():
    seen = []
    encoded([reference(0), reference(1)], progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]


def test_progress_of_tuning_goes_on_where_the_references_end(monkeypatch):
    seen = []
    monkeypatch.setattr("iris_core.task_encoding.tune", partial(tune, steps=2))
    encoded([reference(0)], strategy="tuning", progress=lambda *at: seen.append(at))
    assert seen[0][1] > 4  # the bar knows from the start that tuning follows
    assert seen[1:] == [(2, 5), (3, 5), (3, 5), (4, 5), (5, 5), (5, 5)]  # two passes of two steps


def test_the_spacing_comes_from_the_first_reference_that_shows_a_wanted_class():
    other = relabelled({1: 1}, {1: "other"}, seed=1)
    coarse = Reference(replace(other.image, affine=np.diag([8.0, 8, 8, 1])),
                       replace(other.label, affine=np.diag([8.0, 8, 8, 1])), "coarse")  # fmt: skip
    alone = encoded([reference()], classes=["dark"], spacing="auto")
    beside = encoded([coarse, reference()], classes=["dark"], spacing="auto")
    assert beside.spacing == alone.spacing
    assert beside.provenance["references"] == ["study 0"]


def empty_label() -> Reference:
    return relabelled({}, {}, seed=0)


@pytest.mark.parametrize(
    ("references", "options", "message"),
    [
        ([], {}, "no reference given"),
        ([empty_label()], {}, "study 0: the label is empty"),
        (
            [reference()],
            {"classes": ["liver"]},
            "liver: no reference holds the class; expected one of bright, dark",
        ),
        ([reference()], {"strategy": "magic"}, "magic: unknown strategy; expected auto or one of one-shot"),
        ([reference()], {"modality": "xray"}, "xray: unknown modality; expected auto or one of ct, mr, pet"),
        (
            [reference(), relabelled({1: 1}, {1: "other"}, seed=1)],
            {},
            "bright, other: two classes share one label value; found value 1",
        ),
        (
            [relabelled({1: 1, 4: 4}, {1: "tumour", 4: "tumour"})],
            {},
            "study 0: several label values share one name; expected one value a name; found tumour: 1, 4",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(references, options, message):
    with pytest.raises(InputError) as error:
        encoded(references, **options)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_a_class_too_small_for_the_working_spacing_names_the_class_and_the_study():
    image, label = study(0)
    array = np.zeros_like(label.array)
    array[4:20, 4:20, 4:20], array[1, 1, 1] = 1, 4
    speck = Reference(image, replace(label, array=array), name="study 0")
    with pytest.raises(InputError, match=r"^study 0: dark: no voxel of the class is left"):
        encoded([speck], spacing=16.0)


def test_a_volume_that_would_be_huge_at_the_working_spacing_is_refused_before_it_is_made(monkeypatch):
    task = replace(encoded([reference()]), spacing=(0.01, 0.01, 0.01))
    monkeypatch.setattr("iris_core.preprocessing.prepare.normalise", None)
    with pytest.raises(
        InputError, match=r"is too large at the working spacing; .* found \(4800, 5200, 4400\)"
    ):
        apply_task(segmenter(), task, study(1)[0])
    with pytest.raises(InputError, match="is too large at the working spacing"):
        encoded([reference()], spacing=0.01)


def test_what_is_expected_of_a_result_follows_from_both_passes_and_from_how_many_references():
    runner, query = segmenter(), study(1)[0]
    for references in ([reference(0)], [reference(0), reference(2)]):
        task = encode_task(runner, references, modality="mr", spacing=2.0)
        prediction = apply_task(runner, task, query)
        for name, one in zip(task.names, prediction.maps, strict=True):
            assert one.pass_dice is not None and len(one.sources) == len(references)
            overlap = soft_overlap(one.logits)
            assert prediction.quality[name] == dice_from_overlap(overlap, one.pass_dice, len(references))
