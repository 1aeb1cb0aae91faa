"""The app's annotator: references chosen, embeddings and results kept for as long as nothing changes."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from apps.iris_app.computing.weights import weights_fingerprint
from apps.iris_app.lib.options import Options, config
from apps.iris_app.lib.reply import write_reply
from iris_core.errors import CheckpointError, InputError
from iris_core.strategies import tune
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume_io import read_image
from tests.app_folder import AppFolder


@pytest.fixture
def folder(tmp_path):
    return AppFolder(tmp_path)


def annotate(folder, study, annotator=None, **request):
    annotator = annotator or folder.annotator()
    return annotator.annotate(folder.catalogue, study, Options.read(request, folder.catalogue))


def test_closer_looks_are_joined_from_the_cards_as_the_core_makes_them(tmp_path):
    folder = AppFolder(tmp_path, count=3, shape=(96, 26, 22))  # the structures fill a fifth of it
    for name in ("case_1", "case_2"):
        folder.label(name)
    result = annotate(folder, "case_3")

    annotator = folder.annotator()
    references = [
        Reference(read_image(folder.root / f"{name}.nii.gz"), folder.catalogue.label_of(name), name)
        for name in ("case_1", "case_2")
    ]
    task = encode_task(annotator.segmenter, references)
    assert [one.task.names for one in task.close_ups] == [("bright", "dark")]
    query = read_image(folder.root / "case_3.nii.gz")
    expected = apply_task(annotator.segmenter, task, query)
    assert np.array_equal(result.label().array, expected.label.array)

    whole = apply_task(annotator.segmenter, replace(task, close_ups=()), query)
    assert not np.array_equal(whole.label.array, expected.label.array)


def test_the_app_gives_what_the_core_gives_for_the_same_reference(folder):
    folder.label("case_1")
    result = annotate(folder, "case_2")

    annotator = folder.annotator()
    image = read_image(folder.root / "case_1.nii.gz")
    task = encode_task(annotator.segmenter, [Reference(image, folder.catalogue.label_of("case_1"))])
    expected = apply_task(annotator.segmenter, task, read_image(folder.root / "case_2.nii.gz"))

    assert np.array_equal(result.label().array, expected.label.array)
    assert result.record["label_names"] == {"bright": 1, "dark": 2}


def test_a_result_is_kept_until_a_label_changes_and_no_reference_is_encoded_twice(folder):
    folder.label("case_1")
    annotator = folder.annotator()
    first = annotate(folder, "case_2", annotator)
    written = first.path.stat().st_mtime_ns
    assert annotate(folder, "case_2", annotator).path.stat().st_mtime_ns == written

    folder.label("case_3")
    second = annotate(folder, "case_2", annotator)
    assert second.key != first.key and second.record["strategy"] == "ensemble"
    assert annotator.segmenter.encode_calls == 2

    later = folder.annotator()
    annotate(folder, "case_2", later, classes="bright")
    assert later.segmenter.encode_calls == 0


def test_a_changed_label_is_encoded_again_and_its_old_card_goes(folder):
    folder.label("case_1")
    annotate(folder, "case_2")
    old = list(folder.state.embeddings.rglob("*.safetensors"))
    folder.label("case_1", values={1: 1})
    annotate(folder, "case_2")
    new = list(folder.state.embeddings.rglob("*.safetensors"))
    assert len(old) == len(new) == 1 and old != new


def test_a_study_is_never_its_own_reference(folder):
    folder.label("case_1")
    folder.label("case_2")
    result = annotate(folder, "case_1")
    assert result.record["references_used"] == {"bright": ["case_2"], "dark": ["case_2"]}


def test_pinned_and_banned_references_are_obeyed(folder):
    for name in ("case_1", "case_2"):
        folder.label(name)
    pinned = annotate(folder, "case_3", pinned_references="case_2")
    banned = annotate(folder, "case_3", banned_references="case_2")
    assert pinned.record["references_used"]["bright"] == ["case_2"]
    assert banned.record["references_used"]["bright"] == ["case_1"]


def test_classes_keep_their_number_when_some_are_asked_for(folder):
    folder.label("case_1")
    result = annotate(folder, "case_2", classes=" DARK ")
    assert set(result.label().values) <= {2} and result.record["classes"][0]["idx"] == 2


def test_a_class_labelled_in_another_study_joins_in(folder):
    folder.label("case_1", values={1: 1})
    folder.label("case_2", values={4: 1}, names={1: "dark"})
    record = annotate(folder, "case_3").record
    assert record["references_used"] == {"bright": ["case_1"], "dark": ["case_2"]}


def test_a_reference_whose_label_lies_on_another_grid_is_named_and_left_out(folder):
    folder.label("case_1")
    path = folder.label("case_2")
    nib.save(nib.Nifti1Image(np.ones((5, 5, 5), np.uint8), np.eye(4)), path)
    folder.refresh()
    record = annotate(folder, "case_3").record
    assert [w for w in record["warnings"] if w.startswith("case_2 is left out: ")]
    assert record["references_used"]["bright"] == ["case_1"]


def test_another_modality_is_passed_over_where_there_is_a_choice_and_told_where_there_is_none(folder):
    folder.label("case_1")
    image = nib.load(folder.root / "case_3.nii.gz")
    values = np.asarray(image.dataobj)
    ct = np.where(values < 90, -900, (values - 100) * 2).astype(np.float32)
    nib.save(nib.Nifti1Image(ct, image.affine), folder.root / "case_3.nii.gz")
    folder.refresh()
    record = annotate(folder, "case_3").record
    assert any("references are mr, this study looks like ct" in w for w in record["warnings"])

    folder.label("case_3")
    assert annotate(folder, "case_2").record["references_used"]["bright"] == ["case_1"]
    asked = annotate(folder, "case_2", pinned_references="case_3")
    assert any("references are ct" in w for w in asked.record["warnings"])


@pytest.mark.parametrize("spacing", ["preview", "paper", "3.5"])
def test_the_voxel_size_can_be_chosen(folder, spacing):
    folder.label("case_1")
    used = annotate(folder, "case_2", spacing=spacing).record["spacing_mm"]
    automatic = annotate(folder, "case_2").record["spacing_mm"]
    assert used == {"preview": [2 * s for s in automatic], "paper": [1.5] * 3, "3.5": [3.5] * 3}[spacing]


def test_tuning_is_kept_and_used_by_auto_until_the_references_change(folder, monkeypatch):
    monkeypatch.setattr("apps.iris_app.computing.tuned_store.tune", functools.partial(tune, steps=2))
    folder.label("case_1")
    folder.label("case_2")
    annotator = folder.annotator()
    (stats,) = annotator.tune(folder.catalogue)
    assert stats["after"] >= stats["before"] and stats["references"] == ["case_1", "case_2"]
    assert annotate(folder, "case_3", annotator).record["strategy"] == "tuning"

    folder.label("case_2", values={1: 1})
    assert annotate(folder, "case_3", annotator).record["strategy"] == "ensemble"


def test_what_one_request_tunes_for_itself_leaves_what_was_tuned_for_everybody(folder, monkeypatch):
    monkeypatch.setattr("apps.iris_app.computing.tuned_store.tune", functools.partial(tune, steps=2))
    folder.label("case_1")
    folder.label("case_2")
    annotator = folder.annotator()
    annotator.tune(folder.catalogue)
    word, stats = annotator.tuned.word, annotator.tuned.stats

    asked = annotate(folder, "case_3", annotator, strategy="tuning", pinned_references="case_1")

    assert asked.record["strategy"] == "tuning"
    assert (annotator.tuned.word, annotator.tuned.stats) == (word, stats)
    assert annotate(folder, "case_3", annotator).record["strategy"] == "tuning"
    assert annotate(folder, "case_3", annotator, pinned_references="case_1").record["strategy"] == "one-shot"


def test_a_class_that_only_old_references_show_is_still_segmented(folder, monkeypatch):
    monkeypatch.setattr("apps.iris_app.computing.annotator.MOST_REFERENCES", 1)
    folder.label("case_1")
    folder.label("case_2", values={1: 1})
    used = annotate(folder, "case_3").record["references_used"]
    assert used == {"bright": ["case_2"], "dark": ["case_1"]}


def drawn_in_every(folder: AppFolder, name: str, step: int) -> None:
    """Leaves a final label in every so many slices only."""
    path = folder.root / "labels" / "final" / f"{name}.nii.gz"
    label = nib.load(path)
    array = np.array(label.dataobj)
    array[..., np.arange(array.shape[2]) % step != 1] = 0
    nib.save(nib.Nifti1Image(array, label.affine), path)
    folder.refresh()


def test_a_label_with_gaps_is_told_and_filled_where_the_request_says_sparse(folder):
    folder.label("case_1")
    drawn_in_every(folder, "case_1", 3)
    plain = annotate(folder, "case_2")
    assert any(w.startswith("case_1: bright, dark drawn in single slices") for w in plain.record["warnings"])
    filled = annotate(folder, "case_2", sparse="slices")
    assert filled.key != plain.key and any("are unknown" in w for w in filled.record["warnings"])
    assert annotate(folder, "case_2", sparse="true").key == filled.key, "a tick box says the same"

    annotator = folder.annotator()
    image = read_image(folder.root / "case_1.nii.gz")
    reference = Reference(image, folder.catalogue.label_of("case_1"))
    task = encode_task(annotator.segmenter, [reference], sparse="slices")
    expected = apply_task(annotator.segmenter, task, read_image(folder.root / "case_2.nii.gz"))
    assert np.array_equal(filled.label().array, expected.label.array)
    tuned = annotate(folder, "case_2", sparse="slices", strategy="tuning")
    assert tuned.record["strategy"] == "tuning"


def test_a_value_that_a_labels_file_calls_ignore_is_no_class_of_the_app(folder):
    (folder.root / "labels.json").write_text('{"bright": 1, "ignore": 4}')
    folder.label("case_1", names={})
    assert list(folder.catalogue.register.numbers) == ["bright"]
    label = folder.catalogue.label_of("case_1")
    assert label.values == (1,) and label.ignored.any()
    assert set(np.unique(annotate(folder, "case_2").label().array)) <= {0, 1}


def test_a_datastores_placeholder_does_not_hide_that_a_value_is_to_be_ignored(folder):
    (folder.root / "dataset.json").write_text('{"labels": {"background": 0, "bright": 1, "ignore": 4}}')
    folder.label("case_1", names={1: "bright", 4: "label_4"})
    label = folder.catalogue.label_of("case_1")
    assert label.values == (1,) and label.ignored.any()
    assert list(folder.catalogue.register.numbers) == ["bright"]


def test_a_study_that_nothing_contradicts_is_taken_as_its_references_are(folder):
    folder.label("case_1")
    for number, name in enumerate(("case_1", "case_2")):
        image = nib.load(folder.root / f"{name}.nii.gz")
        values = (np.asarray(image.dataobj) - 100) * 2
        values[:4] = -1000 if number == 0 else values[:4]  # the second is a crop without air
        nib.save(nib.Nifti1Image(values.astype(np.float32), image.affine), folder.root / f"{name}.nii.gz")
    folder.refresh()
    record = annotate(folder, "case_2").record
    assert record["modality"] == "ct" and any("nothing contradicts" in w for w in record["warnings"])


def test_likeness_is_a_cosine_for_every_class_that_was_found(folder):
    folder.label("case_1")
    annotator = folder.annotator()
    result = annotate(folder, "case_2", annotator)
    likeness = annotator.likeness(folder.catalogue, result, Options())
    assert set(likeness) == {entry["name"] for entry in result.record["label_info"]}
    assert all(-1 <= value <= 1.0001 for value in likeness.values())


def test_options_have_a_default_for_each_and_viewers_get_strings_and_lists_that_are_not_empty(folder):
    shown = config()
    assert Options.read({}, folder.catalogue) == Options.read(shown, folder.catalogue) == Options()
    assert all(isinstance(v, str) or (v and all(isinstance(i, str) for i in v)) for v in shown.values())


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"strategy": "magic"}, "Unknown strategy"),
        ({"classes": "spleen"}, "bright, dark"),
        ({"pinned_references": "case_2"}, "no final label"),
        ({"pinned_references": "case_1", "banned_references": "case_1"}, "pinned and banned"),
        ({"banned_references": "case_1"}, "Every reference is banned"),
        ({"spacing": "-1"}, "0.1 to 20 mm"),
        ({"sparse": "maybe"}, "Unknown sparse"),
        ({"save_as": "here"}, "Unknown save as"),
        ({"device": "tpu"}, "Unknown device"),
        ({"device": "cuda:;id"}, "Unknown device"),
        ({"save_as": ["no", {}]}, "Unusable save_as"),
    ],
)
def test_a_mistake_in_a_request_is_told_in_a_sentence(folder, request_, said):
    folder.label("case_1")
    with pytest.raises(InputError, match=said):
        annotate(folder, "case_3", **request_)


def test_a_study_that_has_just_gone_is_told(folder):
    folder.label("case_1")
    with pytest.raises(InputError, match="not in the datastore any more"):
        annotate(folder, "case_9")


def test_without_a_reference_the_user_is_told_what_to_do(folder):
    with pytest.raises(InputError, match="no reference yet; label one study"):
        annotate(folder, "case_1")
    path = folder.label("case_1")
    with pytest.raises(InputError, match="only labelled study is this one"):
        annotate(folder, "case_1")
    path.write_bytes(b"no image")
    folder.refresh()
    with pytest.raises(InputError, match="case_1"):
        annotate(folder, "case_2")


def test_where_a_result_is_computed_and_saved_does_not_change_what_it_depends_on():
    assert replace(Options(), save_as="final", device="cpu").decisive == Options().decisive


def test_missing_or_broken_weights_are_told(tmp_path):
    with pytest.raises(InputError, match="weights are missing"):
        weights_fingerprint(tmp_path / "none.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(CheckpointError, match="cannot be read"):
        weights_fingerprint(tmp_path / "broken.safetensors")


def test_the_server_knows_the_fingerprint_without_loading_the_network(folder):
    assert weights_fingerprint(folder.weights) == folder.annotator().fingerprint


@pytest.mark.parametrize("extension", [".nii.gz", ".nrrd"])
def test_a_result_keeps_the_forms_codes_and_unit_of_its_study_down_to_the_reply(folder, extension):
    path = folder.root / "case_2.nii.gz"
    image = nib.load(path)
    other = np.diag([2.0, 2.0, 2.0, 1.0])
    other[:3, 3] = 30, -20, 10
    in_metres = np.diag([1e-3, 1e-3, 1e-3, 1.0])
    image.set_sform(in_metres @ image.affine, 4)
    image.set_qform(in_metres @ other, 2)
    image.header.set_xyzt_units("meter")
    nib.save(image, path)
    folder.label("case_1")
    folder.refresh()
    reply = Path(write_reply(annotate(folder, "case_2"), {"result_extension": extension}))
    try:
        seen, query = (sitk.ReadImage(str(file)) for file in (reply, path))
        assert np.allclose(seen.GetOrigin(), query.GetOrigin(), atol=1e-3)
        assert np.allclose(seen.GetSpacing(), query.GetSpacing(), atol=1e-3)
        assert np.allclose(seen.GetDirection(), query.GetDirection(), atol=1e-3)
        if extension == ".nii.gz":
            assert (nib.load(reply).header["sform_code"], nib.load(reply).header["qform_code"]) == (4, 2)
            assert np.array_equal(nib.load(reply).affine, nib.load(path).affine)
    finally:
        reply.unlink()
