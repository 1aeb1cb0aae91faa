"""Withholding: nonsense is never shown as a segmentation, what can be trusted is; the result itself stays."""

from __future__ import annotations

import numpy as np
import pytest

from apps.iris_app.answers.withholding import reasons, shown
from apps.iris_app.computing.result_store import ResultStore
from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import State
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from tests.app_folder import AppFolder

CLASSES = [
    {"name": "liver", "idx": 1, "color": [200, 0, 0]},
    {"name": "spleen", "idx": 2, "color": [0, 200, 0]},
    {"name": "aorta", "idx": 3, "color": [0, 0, 200]},
]


@pytest.fixture
def store(tmp_path):
    return ResultStore(State(tmp_path))


def kept(store, expected: dict[str, float], mismatched: dict[str, str] | None = None):
    """A result in which each class with an expected Dice above 0 fills one plane."""
    array = np.zeros((4, 3, 2), np.uint8)
    present = [entry for entry in CLASSES if expected[entry["name"]] > 0]
    for entry in present:
        array[entry["idx"]] = entry["idx"]
    record = {
        "study": "case", "classes": CLASSES, "label_info": present, "expected_dice": expected, "warnings": [],
        "study_modality": "ct", "other_modality": mismatched or {},
    }  # fmt: skip
    return store.put("case", "key", LabelVolume(array, np.eye(4)), record)


def test_a_class_below_the_bar_is_left_out_and_the_others_keep_their_voxels(store):
    result = kept(store, {"liver": 0.9, "spleen": 0.1, "aorta": 0.3})
    found = shown(result, 0.3, store)
    assert found.label().values == (1, 3) and result.label().values == (1, 2, 3)
    assert (found.label().array[1] == 1).all() and (found.label().array[2] == 0).all()
    assert [entry["name"] for entry in found.record["label_info"]] == ["liver", "aorta"]
    (warning,) = found.record["warnings"]
    assert warning == "spleen is withheld: its expected Dice of 0.10 is under 0.3"
    assert found.label().name_of(3) == "aorta" and found.record["classes"] == CLASSES


def test_where_nothing_is_withheld_people_get_the_result_itself(store):
    result = kept(store, {"liver": 0.9, "spleen": 0.0, "aorta": 0.5})  # what was not found is not withheld
    assert shown(result, 0.3, store) is result
    assert shown(kept(store, {"liver": 0.01, "spleen": 0.0, "aorta": 0.0}), 0, store).label().values == (1,)


def test_where_no_class_is_left_the_answer_is_an_error_that_says_why_and_what_to_do(store):
    with pytest.raises(InputError, match="withhold_below to 0") as told:
        shown(kept(store, {"liver": 0.01, "spleen": 0.2, "aorta": 0.0}), 0.3, store)
    assert "liver is withheld" in str(told.value) and "spleen is withheld" in str(told.value)


def test_another_modality_withholds_a_class_however_sure_the_network_is(store):
    result = kept(store, {"liver": 0.95, "spleen": 0.95, "aorta": 0.0}, {"spleen": "mr", "aorta": "mr"})
    found = shown(result, 0.3, store)
    assert found.label().values == (1,)
    assert "its references are mr, this study looks like ct" in " ".join(found.record["warnings"])
    nothing = kept(store, {"liver": 0.0, "spleen": 0.0, "aorta": 0.0}, {n["name"]: "mr" for n in CLASSES})
    with pytest.raises(InputError, match="references are mr"):
        shown(nothing, 0.3, store)
    assert shown(nothing, 0, store) is nothing


def test_the_same_is_withheld_once_and_another_bar_gives_another_variant(store):
    result = kept(store, {"liver": 0.9, "spleen": 0.1, "aorta": 0.4})
    first, again, more = (shown(result, bar, store) for bar in (0.3, 0.35, 0.5))
    assert first.key == again.key != more.key and more.label().values == (1,)
    assert store.find("case", "key").label().values == (1, 2, 3)


def test_a_record_from_before_modalities_were_kept_is_judged_by_its_expected_dice_alone():
    record = {"label_info": CLASSES[:1], "expected_dice": {"liver": 0.2}}
    assert list(reasons(record, 0.3)) == ["liver"] and reasons(record, 0.1) == {}


def test_the_annotator_tells_which_classes_only_references_of_another_modality_show(tmp_path):
    folder = AppFolder(tmp_path, count=3)
    folder.label("case_1", values={1: 1})
    image = folder.root / "case_2.nii.gz"
    import nibabel as nib

    nifti = nib.load(image)
    numbers = np.asarray(nifti.dataobj)
    body = 30 + 100 * (numbers - numbers.min()) / np.ptp(numbers)
    body[:8] = -1000  # air, which no MR has
    nib.save(nib.Nifti1Image(body.astype(np.int16), nifti.affine), image)
    folder.refresh()

    found = folder.annotator().annotate(folder.catalogue, "case_2", Options())

    assert found.record["study_modality"] == "ct" and found.record["other_modality"] == {"bright": "mr"}
    with pytest.raises(InputError, match="references are mr, this study looks like ct"):
        shown(found, 0.3, ResultStore(folder.state))
    same = folder.annotator().annotate(folder.catalogue, "case_3", Options())
    assert same.record["other_modality"] == {}
