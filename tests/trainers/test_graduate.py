"""Laws of graduation: joined by name, final labels alone, checksummed, nothing overwritten."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from iris_core.cli.main import main
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import write_label
from iris_core.volume_io.folder.raw_dataset import RawDataset
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.graduation.graduate import MANIFEST

AFFINE = np.diag([-2.0, 1.5, 3.0, 1.0])
SHAPE = (8, 9, 7)


def image_array(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 900, SHAPE).astype(np.int16)


def label_array(*values: int) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    for number, value in enumerate(values):
        array[2 * number : 2 * number + 2, 2:6, 2:5] = value
    return array


def save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


def entry(ext: str = ".nii.gz", **final: int) -> dict:
    """A study's entry of the datastore, with a final label where names are given."""
    info = {"label_info": [{"name": name, "idx": idx} for name, idx in final.items()], "ts": 1}
    return {
        "image": {"ext": ext, "info": {"ts": 1}},
        "labels": {"final": {"ext": ".nii.gz", "info": info}} if final else {},
    }


def write_store(folder: Path, objects: dict) -> None:
    content = {"name": "s", "description": "", "images_dir": ".", "labels_dir": "labels", "objects": objects}
    (folder / "datastore_v2.json").write_text(json.dumps(content))


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Two finished studies in which the same value means another structure, and one with a draft only."""
    folder = tmp_path / "studies"
    for number in range(3):
        save(image_array(number), folder / f"s{number}.nii.gz")
    save(label_array(1, 2), folder / "labels" / "final" / "s0.nii.gz")
    save(label_array(2, 1), folder / "labels" / "final" / "s1.nii.gz")
    save(label_array(3), folder / "labels" / "original" / "s2.nii.gz")
    objects = {"s0": entry(liver=1, spleen=2), "s1": entry(spleen=1, liver=2), "s2": entry()}
    write_store(folder, objects)
    return folder


def test_structures_are_joined_by_name_where_values_disagree(studies, tmp_path):
    target = tmp_path / "raw" / "Dataset321_Ward"
    assert main(["graduate", str(studies), "--output", str(target)]) == 0
    dataset = RawDataset.open(target)
    assert dataset.names == {1: "liver", 2: "spleen"}
    assert [case.name for case in dataset.cases] == ["s0", "s1"]
    for case in dataset.cases:
        label = nib.load(case.label)
        assert np.array_equal(np.asarray(label.dataobj), label_array(1, 2))
        assert np.allclose(label.affine, AFFINE)
    description = json.loads((target / "dataset.json").read_text())
    assert description["numTraining"] == 2 and "iris" not in description


def test_the_manifest_holds_true_checksums_of_inputs_and_outputs(studies, tmp_path):
    target = tmp_path / "Dataset321_Ward"
    main(["graduate", str(studies), "--output", str(target)])
    rows = json.loads((target / MANIFEST).read_text())["cases"]
    places = {"image": studies, "label": studies / "labels" / "final"}
    for row in rows.values():
        for kind, place in places.items():
            for path, digest in (
                (place / row[kind]["source"], row[kind]["source_sha256"]),
                (target / row[kind]["file"], row[kind]["file_sha256"]),
            ):
                assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    assert rows["s0"]["image"]["source_sha256"] == rows["s0"]["image"]["file_sha256"]  # copied byte for byte
    assert rows["s0"]["structures"] == ["liver", "spleen"]


def test_a_structure_that_a_study_does_not_name_is_unknown_there(studies, tmp_path):
    save(image_array(5), studies / "s5.nii.gz")
    save(label_array(7), studies / "labels" / "final" / "s5.nii.gz")
    objects = {"s0": entry(liver=1, spleen=2), "s1": entry(spleen=1, liver=2), "s5": entry(gallbladder=7)}
    write_store(studies, objects)
    main(["graduate", str(studies), "--output", str(tmp_path / "Dataset321_Ward")])
    description = json.loads((tmp_path / "Dataset321_Ward" / "dataset.json").read_text())
    labels = PartialLabels.of_dataset(description, ["s0", "s1", "s5"])
    assert labels.classes_of("s5") == ("gallbladder",)
    assert labels.classes_of("s0") == labels.classes_of("s1") == ("liver", "spleen")


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_images_of_other_formats_keep_their_voxels_and_place(studies, tmp_path, ending):
    (studies / "s0.nii.gz").unlink()
    if ending == ".nii":
        save(image_array(0), studies / "s0.nii")
    else:
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ AFFINE
        volume = sitk.GetImageFromArray(image_array(0).transpose(2, 1, 0))
        volume.SetSpacing((2.0, 1.5, 3.0))
        volume.SetDirection((lps[:3, :3] / (2.0, 1.5, 3.0)).ravel())
        sitk.WriteImage(volume, studies / f"s0{ending}")
    objects = {"s0": entry(ending, liver=1, spleen=2), "s1": entry(spleen=1, liver=2)}
    write_store(studies, objects)
    assert main(["graduate", str(studies), "--output", str(tmp_path / "Dataset321_Ward")]) == 0
    image = nib.load(tmp_path / "Dataset321_Ward" / "imagesTr" / "s0_0000.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert np.array_equal(np.asarray(image.dataobj), image_array(0))
    assert np.allclose(image.affine, AFFINE)


def test_a_slicer_segmentation_brings_its_own_names(studies, tmp_path):
    (studies / "labels" / "final" / "s1.nii.gz").unlink()
    label = LabelVolume(label_array(2, 1), AFFINE, {1: "spleen", 2: "liver"})
    write_label(label, studies / "labels" / "final" / "s1.seg.nrrd")
    main(["graduate", str(studies), "--output", str(tmp_path / "Dataset321_Ward")])
    written = nib.load(tmp_path / "Dataset321_Ward" / "labelsTr" / "s1.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), label_array(1, 2))


def test_dropped_files_get_their_names_from_the_option_and_only_from_there(studies, tmp_path, capsys):
    write_store(studies, {"s0": entry(liver=1, spleen=2)})
    words = ["graduate", str(studies), "--output", str(tmp_path / "Dataset321_Ward")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "s1.nii.gz" in error and "--labels" in error and "s0" not in error
    (tmp_path / "labels.json").write_text('{"spleen": 1, "liver": 2}')
    assert main([*words, "--labels", str(tmp_path / "labels.json")]) == 0
    written = nib.load(tmp_path / "Dataset321_Ward" / "labelsTr" / "s1.nii.gz")
    assert np.array_equal(np.asarray(written.dataobj), label_array(1, 2))


def test_nothing_is_overwritten(studies, tmp_path, capsys):
    words = ["graduate", str(studies), "--output", str(tmp_path / "Dataset321_Ward")]
    main(words)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(words) == 2
    assert "number is taken" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ({"s0": entry(liver=1, spleen=2), "s1": entry(spleen=1)}, "without a name; expected 1; found 2"),
        ({"s0": entry(liver=1, spleen=2), "s1": entry(spleen=1, Liver=2)}, "differ in case alone"),
    ],
)
def test_labels_that_cannot_be_joined_leave_nothing(studies, tmp_path, capsys, objects, message):
    write_store(studies, objects)
    before = sorted(tmp_path.rglob("*"))
    assert main(["graduate", str(studies), "--output", str(tmp_path / "raw" / "Dataset321_Ward")]) == 2
    assert message in capsys.readouterr().err
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "raw") == before


def test_a_folder_that_no_server_worked_on_is_refused(tmp_path, capsys):
    assert main(["graduate", str(tmp_path), "--output", str(tmp_path / "Dataset321_Ward")]) == 2
    assert "datastore_v2.json" in capsys.readouterr().err


@pytest.mark.parametrize("told", ["datastore", "labels.json", "--labels", "the file itself"])
def test_voxels_to_ignore_stay_voxels_to_ignore_under_the_largest_value(studies, tmp_path, told):
    array = label_array(1, 2)
    array[6:8, 0:3, 0:2] = 7
    path = studies / "labels" / "final" / "s0.nii.gz"
    save(array, path)
    named = {"liver": 1, "spleen": 2, "ignore": 7}
    words = ["graduate", str(studies), "--output", str(tmp_path / "raw" / "Dataset321_Ward")]
    if told == "datastore":
        write_store(studies, {"s0": entry(**named), "s1": entry(spleen=1, liver=2), "s2": entry()})
    elif told == "the file itself":
        drawn = LabelVolume(array, AFFINE, {value: name for name, value in named.items()})
        path.unlink()
        write_label(drawn, path.with_name("s0.seg.nrrd"))
    else:
        file = (studies if told == "labels.json" else tmp_path) / "labels.json"
        file.write_text(json.dumps(named))
        words += ["--labels", str(file)] if told == "--labels" else []
    assert main(words) == 0
    dataset = RawDataset.open(tmp_path / "raw" / "Dataset321_Ward")
    assert dataset.names == {1: "liver", 2: "spleen"} and dataset.ignored == 3
    description = json.loads((tmp_path / "raw" / "Dataset321_Ward" / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "liver": 1, "spleen": 2, "ignore": 3}
    first, second = (np.asarray(nib.load(case.label).dataobj) for case in dataset.cases)
    assert np.array_equal(first, np.where(array == 7, 3, array))
    assert np.array_equal(second, label_array(1, 2)), "the other study says all"
    assert "iris" not in description, "the value to ignore is no structure that makes another group"
