"""Laws of a union: nothing copied, every class its own value, nobody on two sides of a split."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from iris_core.cli.main import main
from iris_core.errors import InputError
from iris_core.volume_io import read_label
from iris_core.volume_io.folder.raw_dataset import RawDataset
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.unions.source import open_sources
from nnunet_trainers.unions.split import split_persons
from nnunet_trainers.unions.union import make_union
from tests.raw_sets import OBLIQUE, STRAIGHT, describe, rewrite, write_raw_set


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """nnUNet_raw with a CT set (values 2 and 5) and an oblique MR set (value 1)."""
    folder = tmp_path / "raw"
    write_raw_set(folder / "Dataset001_Belly", labels={"liver": 2, "spleen": 5}, cases=5, channel="CT")
    write_raw_set(folder / "Dataset002_Head", labels={"eye": 1}, cases=4, affines=(OBLIQUE, STRAIGHT))
    monkeypatch.setenv("nnUNet_raw", str(folder))
    return folder


def described(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text())


def test_the_union_keeps_each_voxels_structure_and_copies_no_image(raw):
    assert main(["union", "1", "Head", "--output", "Dataset900_Both", "--weight", "Head=3"]) == 0
    union = described(raw / "Dataset900_Both")
    names = {value: name for name, value in union["labels"].items()}
    assert names == {0: "background", 1: "Belly/liver", 2: "Belly/spleen", 3: "Head/eye"}
    assert not (raw / "Dataset900_Both" / "imagesTr").exists()
    opened = RawDataset.open(raw / "Dataset900_Both")
    assert len(opened.cases) == union["numTraining"] == 7
    for case in opened.cases:
        group, _, source = case.name.partition("_")
        home = next(raw.glob(f"*_{group}"))
        assert case.image == home / "imagesTr" / f"{source}_0000.nii.gz"
        old = nib.load(home / "labelsTr" / f"{source}.nii.gz")
        new = nib.load(case.label)
        assert np.allclose(old.affine, new.affine, atol=1e-5)
        for name, value in described(home)["labels"].items():
            united = union["labels"].get(f"{group}/{name}", 0)
            assert np.array_equal(np.asarray(old.dataobj) == value, np.asarray(new.dataobj) == united)


def test_partial_labels_weights_and_modalities_stand_in_the_description(raw):
    main(["union", "1", "2", "--output", "Dataset900_Both", "--weight", "Head=3"])
    union = described(raw / "Dataset900_Both")
    labels = PartialLabels.of_dataset(union, union["dataset"])
    assert labels.classes_of("Belly_case_0") == ("Belly/liver", "Belly/spleen")
    assert labels.classes_of("Head_case_0") == ("Head/eye",)
    assert labels.weights == {"Belly": 1.0, "Head": 3.0}
    assert labels.modalities == {"Belly": "ct", "Head": "mr"}


def test_the_test_part_lies_apart_and_trains_nobody(raw):
    main(["union", "1", "2", "--output", "Dataset900_Both", "--split", "50,25,25"])
    folder = raw / "Dataset900_Both"
    union, (fold,) = described(folder), json.loads((folder / "splits_final.json").read_text())
    test = union["iris"]["test"]
    assert set(fold["train"]) | set(fold["val"]) == set(union["dataset"])
    assert not set(fold["train"]) & set(fold["val"])
    assert test and not set(test) & set(union["dataset"])
    for case in test:
        image, label = (
            nib.load(folder / part) for part in (f"imagesTs/{case}_0000.nii.gz", f"labelsTs/{case}.nii.gz")
        )
        assert image.shape == label.shape


def test_the_bank_is_scored_on_the_test_part_by_each_datasets_own_classes(raw):
    from benchmarks.bank_dice import bank_dice

    main(["union", "1", "2", "--output", "Dataset900_Both", "--split", "50,25,25"])
    folder, asked = raw / "Dataset900_Both", set()
    cases = iter(sorted((folder / "labelsTs").iterdir()))

    def segment(image, names):
        asked.add(tuple(names))
        label = read_label(next(cases))
        return replace(label, array=np.where(label.array == 2, 0, label.array))  # the spleen is missed

    scores = bank_dice(folder, segment)
    assert scores == {"Belly": {"Belly/liver": 1.0, "Belly/spleen": 0.0}, "Head": {"Head/eye": 1.0}}
    assert asked == {("Belly/liver", "Belly/spleen"), ("Head/eye",)}


def test_no_person_stands_on_two_sides():
    cases = [f"c{number}" for number in range(40)]
    persons = {case: f"p{number // 2}" for number, case in enumerate(cases)}
    split = split_persons(cases, persons, (75, 5, 20), np.random.default_rng(3))
    sides = [{persons[case] for case in part} for part in split]
    assert [len(side) for side in sides] == [15, 1, 4]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sorted(case for part in split for case in part) == sorted(cases)


@pytest.mark.parametrize(
    ("count", "sizes"), [(2, (2, 0, 0)), (3, (2, 1, 0)), (4, (2, 1, 1)), (100, (75, 5, 20))]
)
def test_two_persons_are_always_left_to_train_on(count, sizes):
    split = split_persons([str(n) for n in range(count)], {}, (75, 5, 20), np.random.default_rng(0))
    assert tuple(map(len, split)) == sizes


def test_the_same_seed_gives_the_same_split(raw):
    sources = open_sources([raw / "Dataset001_Belly", raw / "Dataset002_Head"])
    folds = []
    for number, seed in ((900, 1), (901, 1), (902, 2)):
        make_union(sources, raw / f"Dataset{number}_X", seed=seed)
        folds.append((raw / f"Dataset{number}_X" / "splits_final.json").read_text())
    assert folds[0] == folds[1] != folds[2]


def test_other_formats_become_nifti_on_the_same_voxels(tmp_path):
    for number in range(3):
        for part, stem, kind in (("imagesTr", "c{}_0000", "image"), ("labelsTr", "c{}", "label")):
            place = tmp_path / "Dataset003_Nrrd" / part
            place.mkdir(parents=True, exist_ok=True)
            array = np.arange(6 * 5 * 4, dtype=np.int16).reshape(4, 5, 6)
            volume = sitk.GetImageFromArray((array > 60).astype(np.uint8) if kind == "label" else array)
            volume.SetSpacing((1.0, 2.0, 3.0))
            volume.SetOrigin((5.0, -4.0, 3.0))
            sitk.WriteImage(volume, place / f"{stem.format(number)}.nrrd")
    describe(tmp_path / "Dataset003_Nrrd", {"blob": 1}, 3, "MRI", ending=".nrrd")
    make_union(open_sources([tmp_path / "Dataset003_Nrrd"]), tmp_path / "Dataset904_Nifti", shares=None)
    (case, *_) = RawDataset.open(tmp_path / "Dataset904_Nifti").cases
    image = nib.load(case.image)
    assert image.get_data_dtype() == np.int16
    assert np.array_equal(np.asarray(image.dataobj), array.transpose(2, 1, 0))
    assert np.allclose(image.affine, [[-1, 0, 0, -5], [0, -2, 0, 4], [0, 0, 3, 3], [0, 0, 0, 1]])


def test_one_channel_of_several_is_taken_when_it_is_chosen(raw, tmp_path):
    for path in sorted((raw / "Dataset002_Head" / "imagesTr").glob("*_0000*")):
        path.with_name(path.name.replace("_0000", "_0001")).write_bytes(path.read_bytes())
    rewrite(raw / "Dataset002_Head", channel_names={"0": "T1", "1": "T2"})
    with pytest.raises(InputError, match=r"several channels.*T2.*choose --channel 2=N"):
        open_sources([raw / "Dataset002_Head"])
    for word in ("2", "002", "Dataset002_Head"):
        assert open_sources([raw / "Dataset002_Head"], channels={word: 0})
    (source,) = open_sources([raw / "Dataset002_Head"], channels={"Head": 1})
    assert source.dataset.cases[0].image.name == "case_0_0001.nii.gz"


def test_classes_of_several_values_are_refused_with_what_to_change(raw):
    rewrite(raw / "Dataset001_Belly", labels={"background": 0, "both": [2, 5], "spleen": 5})
    with pytest.raises(InputError, match=r"regions of several values.*both.*a class of its own"):
        open_sources([raw / "Dataset001_Belly"])


def test_voxels_that_nobody_judged_keep_their_meaning(raw):
    write_raw_set(raw / "Dataset004_Part", labels={"tumour": 1, "ignore": 2})
    path = raw / "Dataset004_Part" / "labelsTr" / "case_0.nii.gz"
    label = nib.load(path)
    array = np.asarray(label.dataobj).copy()
    array[0, 0, 0] = 2
    nib.save(nib.Nifti1Image(array, label.affine), path)
    main(["union", "1", "4", "--output", "Dataset900_Both", "--split", "none"])
    assert described(raw / "Dataset900_Both")["labels"]["ignore"] == 4
    united = nib.load(raw / "Dataset900_Both" / "labelsTr" / "Part_case_0.nii.gz")
    assert np.asarray(united.dataobj)[0, 0, 0] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["1", "9"], "no dataset is called 9"),
        (["1", "1"], "given twice"),
        (["1", "2", "--weight", "Foot=2"], "--weight.*Foot"),
        (["1", "2", "--weight", "Head=-1"], "NAME=W"),
        (["1", "2", "--modality", "Head=xray"], "NAME=ct|mr|pet"),
        (["1", "2", "--split", "75,5"], "three shares"),
        (["1", "2", "--output", "Both"], "DatasetNNN_Name"),
        (["1", "2", "--output", "Dataset001_Other"], "number is taken.*Dataset001_Belly"),
    ],
)
def test_wrong_use_is_told_and_leaves_nothing(raw, capsys, words, message):
    before = sorted(raw.rglob("*"))
    if "--output" not in words:
        words = [*words, "--output", "Dataset900_Both"]
    assert main(["union", *words]) == 2
    assert message.split(".*")[-1] in capsys.readouterr().err
    assert sorted(raw.rglob("*")) == before


def test_a_value_that_no_name_stands_for_leaves_nothing(raw, capsys):
    rewrite(raw / "Dataset001_Belly", labels={"background": 0, "liver": 2})
    before = sorted(raw.rglob("*"))
    assert main(["union", "1", "2", "--output", "Dataset900_Both"]) == 2
    error = capsys.readouterr().err
    assert "case_" in error and "found 5" in error
    assert sorted(raw.rglob("*")) == before


def test_a_listed_file_that_is_gone_is_named(raw):
    main(["union", "1", "2", "--output", "Dataset900_Both", "--split", "none"])
    (raw / "Dataset001_Belly" / "imagesTr" / "case_3_0000.nii.gz").unlink()
    with pytest.raises(InputError, match=r"Belly_case_3.*case_3_0000.nii.gz"):
        RawDataset.open(raw / "Dataset900_Both")
