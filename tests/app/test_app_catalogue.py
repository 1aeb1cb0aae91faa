"""The app's catalogue: classes joined by name, labels read when they change, problems told."""

from __future__ import annotations

import os
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.catalogue.catalogue import Catalogue, Outdated
from apps.iris_app.catalogue.class_register import ClassRegister
from apps.iris_app.catalogue.final_label import in_register, read_final
from apps.iris_app.catalogue.study import FinalLabel, Study, names_from_info
from apps.iris_app.retries.pauses import LONGEST, Pauses
from iris_core.errors import InputError, PassingError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import write_label
from tests.app_folder import AppFolder


@pytest.fixture
def folder(tmp_path):
    return AppFolder(tmp_path)


def test_classes_are_joined_by_name_where_studies_number_them_differently(folder):
    folder.label("case_1", names={1: "Liver", 4: "left_kidney"})
    folder.label("case_2", values={1: 2, 4: 1}, names={1: "Left kidney ", 2: "liver"})

    assert folder.catalogue.register.numbers == {"Liver": 1, "left_kidney": 2}
    one, two = (folder.catalogue.label_of(name) for name in ("case_1", "case_2"))
    assert np.count_nonzero(one.array == 1) == np.count_nonzero(two.array == 1) == 9**3
    assert one.names == two.names


def test_numbers_stay_when_labels_come_and_go_and_have_no_gap(folder):
    folder.label("case_1", names={1: "a", 4: "b"})
    (folder.root / "labels/final/case_1.nii.gz").unlink()
    folder.label("case_2", names={1: "c", 4: "b"})

    assert folder.catalogue.register.numbers == {"a": 1, "b": 2, "c": 3}
    assert Catalogue(folder.state).register.numbers == {"a": 1, "b": 2, "c": 3}


def test_the_newest_classes_are_forgotten_when_no_label_has_them(folder):
    folder.label("case_1", names={1: "a", 4: "b"})
    folder.label("case_2", names={1: "d", 4: "e"})
    assert list(folder.catalogue.register.numbers) == ["a", "b", "d", "e"]
    folder.label("case_2", names={1: "a", 4: "c"})
    (folder.root / "labels/final/case_1.nii.gz").unlink()
    folder.refresh()
    assert folder.catalogue.register.numbers == {"a": 1, "b": 2, "d": 3, "e": 4, "c": 5}

    (folder.root / "labels/final/case_2.nii.gz").unlink()
    folder.refresh()
    assert folder.catalogue.register.numbers == {}


def test_names_that_come_later_replace_the_values(folder):
    folder.label("case_1", names={})
    (folder.root / "labels.json").write_text('{"bright": 1, "dark": 4}')
    assert folder.refresh()
    assert folder.catalogue.references["case_1"].classes == ("bright", "dark")


def test_a_label_that_changed_after_it_was_catalogued_is_not_read(folder):
    path = folder.label("case_1")
    os.utime(path, ns=(1, 1))
    with pytest.raises(Outdated):
        folder.catalogue.label_of("case_1")


def test_a_label_without_names_takes_those_of_the_folder_and_else_its_values(folder):
    folder.label("case_1", names={})
    assert set(folder.catalogue.register.numbers) == {"label_1", "label_4"}

    (folder.root / "labels.json").write_text('{"bright": 1, "dark": 4}')
    label = read_final(folder.studies()[0].final, folder.root)
    assert label.names == {1: "bright", 4: "dark"}


def test_a_label_without_names_takes_those_on_which_all_others_agree_and_says_so(folder):
    folder.label("case_1", names={})
    assert folder.catalogue.references["case_1"].classes == ("label_1", "label_4")

    folder.label("case_2", names={1: "liver", 4: "spleen"})

    assert folder.catalogue.references["case_1"].classes == ("liver", "spleen")
    assert folder.catalogue.label_of("case_1").names == folder.catalogue.label_of("case_2").names
    assert "1, 4" in folder.catalogue.notes["case_1"] and "case_2" not in folder.catalogue.notes
    assert set(folder.catalogue.register.numbers) == {"liver", "spleen"}
    assert Catalogue(folder.state).references == folder.catalogue.references


def test_a_value_that_the_others_call_by_two_names_or_none_is_no_class_beside_theirs(folder):
    folder.label("case_1", names={1: "liver", 4: "spleen"})
    folder.label("case_2", names={1: "spleen", 4: "liver"})
    folder.label("case_3", names={})
    assert "1, 4" in folder.catalogue.problems["case_3"] and "names" in folder.catalogue.problems["case_3"]
    assert set(folder.catalogue.register.numbers) == {"liver", "spleen"}

    folder.label("case_2", names={1: "liver", 4: "spleen"})
    assert folder.catalogue.problems == {} and len(folder.catalogue.usable) == 3
    folder.label("case_3", values={1: 1, 4: 7}, names={})
    assert "7" in folder.catalogue.problems["case_3"]


def test_a_label_that_is_meant_to_be_empty_is_no_reference_and_no_problem(folder):
    folder.label("case_1")
    folder.label("case_2", values={1: 0, 4: 0})
    studies = folder.studies()
    studies[1] = replace(studies[1], final=replace(studies[1].final, empty=True))
    folder.catalogue.refresh(studies)
    assert folder.catalogue.problems == {} and [r.study for r in folder.catalogue.usable] == ["case_1"]
    assert [s.id for s in folder.catalogue.unlabelled] == ["case_3"]
    assert Study.from_json(studies[1].to_json()) == studies[1]


def test_a_label_that_cannot_be_read_just_now_is_read_again_after_a_growing_pause(folder, monkeypatch):
    def locked(*_):
        tried.append(1)
        raise PassingError("cannot be opened", found="Permission denied")

    tried: list[int] = []
    clock = [0.0]
    folder.catalogue._pauses = Pauses(lambda: clock[0])
    with monkeypatch.context() as patched:
        patched.setattr("apps.iris_app.catalogue.drawn.read_final", locked)
        folder.label("case_1")
        for _ in range(60):
            clock[0] += 1.0
            folder.refresh()
    assert len(tried) == 5 and "Permission denied" in folder.catalogue.problems["case_1"]
    clock[0] += LONGEST
    folder.refresh()
    assert folder.catalogue.problems == {} and folder.catalogue.references["case_1"].classes


def test_a_catalogue_that_cannot_be_written_is_written_when_there_is_room_again(folder, monkeypatch):
    def full(*_):
        raise PassingError("cannot be written", found="No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("apps.iris_app.catalogue.catalogue.write_json", full)
        for _ in range(2):
            with pytest.raises(PassingError):
                folder.label("case_1")
    assert Catalogue(folder.state).references == {}
    assert folder.refresh() and not folder.refresh()
    assert Catalogue(folder.state).references == folder.catalogue.references != {}


def test_names_in_a_segmentation_nrrd_go_before_those_of_the_datastore(tmp_path):
    array = np.zeros((6, 6, 6), np.uint8)
    array[2:4] = 3
    path = tmp_path / "drawn.seg.nrrd"
    write_label(LabelVolume(array, np.eye(4), {3: "spleen"}, {3: (1, 2, 3)}), path)
    stored = path.rename(tmp_path / "case.nrrd")  # the host keeps only the last part of the suffix

    label = read_final(FinalLabel(stored, "", {1: "liver"}))

    assert label.names[3] == "spleen" and label.colors[3] == (1, 2, 3)


def test_two_values_of_one_name_become_one_class():
    label = LabelVolume(np.arange(27, dtype=np.uint8).reshape(3, 3, 3) % 3, np.eye(4), {1: "rib", 2: "Rib"})
    joined = in_register(label, ClassRegister())
    assert joined.values == (1,) and np.count_nonzero(joined.array) == 18


def test_an_unreadable_label_is_named_and_left_out_and_used_again_once_it_is_whole(folder):
    path = folder.label("case_1")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    folder.refresh()
    assert str(path) in folder.catalogue.problems["case_1"] and not folder.catalogue.usable

    path.write_bytes(whole)
    folder.refresh()
    assert [r.study for r in folder.catalogue.usable] == ["case_1"] and not folder.catalogue.problems


def test_an_empty_label_is_a_problem_and_no_reference(folder):
    folder.label("case_1", values={1: 0, 4: 0})
    assert "empty" in folder.catalogue.problems["case_1"]


def test_a_label_is_read_again_only_when_it_or_its_names_change(folder, monkeypatch):
    path = folder.label("case_1")
    read = []
    monkeypatch.setattr(
        "apps.iris_app.catalogue.drawn.read_final", lambda *a: read.append(a[0].path) or read_final(*a)
    )
    assert not folder.refresh() and read == []

    folder.names["case_1"] = {1: "bright", 4: "shade"}
    assert folder.refresh() and read == [path]
    assert folder.catalogue.references["case_1"].classes == ("bright", "shade")


def test_the_oldest_reference_stays_the_oldest_when_its_label_changes(folder):
    folder.label("case_2")
    folder.label("case_1")
    folder.label("case_2", values={1: 1})
    assert [r.study for r in folder.catalogue.usable] == ["case_2", "case_1"]


def test_another_process_reads_the_same_catalogue(folder):
    folder.label("case_3")
    other = Catalogue(folder.state, folder.root)
    assert other.studies == folder.catalogue.studies
    assert other.references == folder.catalogue.references
    assert [s.id for s in other.unlabelled] == ["case_1", "case_2"]


def test_malformed_label_info_gives_the_names_that_can_be_read():
    info = [{"name": "liver", "idx": 2}, {"idx": 3}, "x", {"name": " ", "idx": 4}, {"name": "a", "idx": "no"}]
    assert names_from_info(info) == {2: "liver"} and names_from_info(None) == {}


def test_a_study_survives_json(tmp_path):
    study = Study("a/b", tmp_path / "x.nii", "1-2", FinalLabel(tmp_path / "y.nii", "3-4", {7: "aorta"}))
    assert Study.from_json(study.to_json()) == study


def test_a_broken_names_file_is_told_as_the_labels_problem(folder):
    (folder.root / "labels.json").write_text("{")
    folder.label("case_1", names={})
    assert "labels.json" in folder.catalogue.problems["case_1"]
    with pytest.raises(InputError):
        folder.catalogue.label_of("case_1")


def test_a_label_that_is_no_image_is_a_problem(folder):
    path = folder.label("case_1")
    nib.save(nib.Nifti1Image(np.full((4, 4, 4), 0.5, np.float32), np.eye(4)), path)
    folder.refresh()
    assert folder.catalogue.problems
