"""Bad datasets are told in a sentence before anything is planned; none of this needs nnU-Net."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.errors import InputError
from nnunet_trainers.datasets.dataset_folder import nnunet_folder
from nnunet_trainers.planning.checks import check_dataset, find_dataset
from tests.raw_sets import OBLIQUE, rewrite, write_raw_set


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_raw_set(tmp_path / "Dataset001_Belly", labels={"liver": 1, "spleen": 2}, channel="CT")


def relabel(dataset: Path, case: int, change, affine=None) -> None:
    """Changes the label file of a case."""
    path = dataset / "labelsTr" / f"case_{case}.nii.gz"
    label = nib.load(path)
    array = change(np.asarray(label.dataobj).copy())
    nib.save(nib.Nifti1Image(array, label.affine if affine is None else affine), path)


def put(value: int):
    def change(array: np.ndarray) -> np.ndarray:
        array[-1, -1, -1] = value
        return array

    return change


def test_a_sound_dataset_passes_and_knows_its_modality(dataset):
    checked = check_dataset(dataset)
    assert [case.name for case in checked.cases] == ["case_0", "case_1", "case_2"]
    assert {checked.modality_of(case.name) for case in checked.cases} == {"ct"}


@pytest.mark.parametrize(("channel", "modality"), [("image", "ct"), ("MRI", "mr"), ("PET", "pet")])
def test_the_channels_name_goes_before_the_look_of_the_values(dataset, channel, modality):
    rewrite(dataset, channel_names={"0": channel})
    assert check_dataset(dataset).modality_of("case_0") == modality


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: relabel(d, 1, put(7)), r"case_1.*does not name.*1 = liver.*found 7"),
        (lambda d: [relabel(d, n, lambda a: a * (a != 2)) for n in range(3)], r"no voxel.*found spleen"),
        (lambda d: relabel(d, 2, lambda a: a[:, :, :-1]), r"case_2.*grid is not the image's"),
        (lambda d: relabel(d, 2, lambda a: a, affine=OBLIQUE), r"case_2.*grid is not the image's"),
        (lambda d: rewrite(d, channel_names={"0": "T1", "1": "T2"}), r"several channels.*T1, T2.*iris union"),
        (lambda d: rewrite(d, labels={"background": 0, "a": 1, "b": 3}), r"follow each other.*iris union"),
        (lambda d: rewrite(d, labels={"background": 0, "whole": [1, 2], "b": 2}), r"several values.*whole"),
        (lambda d: rewrite(d, labels={"liver": 1, "spleen": 2}), r"no background.*\"background\": 0"),
        (lambda d: [(d / "labelsTr" / f"case_{n}.nii.gz").unlink() for n in (0, 1)], r"one case alone"),
        (lambda d: (d / "imagesTr" / "case_0_0000.nii.gz").unlink(), r"label has no image"),
        (lambda d: (d / "dataset.json").unlink(), r"dataset.json: no such file"),
    ],
)
def test_each_breach_is_named_with_its_place_and_remedy(dataset, change, message):
    change(dataset)
    with pytest.raises(InputError, match=message):
        check_dataset(dataset)


def test_an_ignore_label_is_no_stranger(dataset):
    rewrite(dataset, labels={"background": 0, "liver": 1, "spleen": 2, "ignore": 3})
    relabel(dataset, 0, put(3))
    assert check_dataset(dataset).labels.classes_of("case_0") == ("liver", "spleen")


def test_a_dataset_is_found_by_number_or_name(dataset):
    raw = dataset.parent
    for word in ("1", "001", "Belly", "Dataset001_Belly", str(dataset)):
        assert find_dataset(word, raw) == dataset.resolve()
    (raw / "Dataset001_Again").mkdir()
    with pytest.raises(InputError, match=r"several datasets.*Again, Dataset001_Belly"):
        find_dataset("1", raw)


def test_a_missing_variable_is_named_with_what_to_type(monkeypatch, tmp_path):
    monkeypatch.delenv("nnUNet_raw", raising=False)
    with pytest.raises(InputError, match=r"nnUNet_raw: .*not set.*export nnUNet_raw="):
        nnunet_folder("nnUNet_raw")
    monkeypatch.setenv("nnUNet_raw", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: no such folder"):
        nnunet_folder("nnUNet_raw")
