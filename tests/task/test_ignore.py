"""Voxels whose label says "ignore" are no class: they are never scored, and never learnt as background."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from iris_core.cli.references import read_references
from iris_core.metrics import dice_per_class
from iris_core.volume.label_grid import fit_label
from iris_core.volume.label_names import parse_label_names, read_label_names
from iris_core.volume.unknown import ignored_aside
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_label, write_label
from iris_core.volume_io.folder.raw_dataset import RawDataset
from tests.solids import solids


@pytest.mark.parametrize(
    "names",
    [
        {"labels": {"background": 0, "liver": 1, "ignore": 3}},
        {"liver": 1, "ignore": 3},
        {"1": "liver", "3": "Ignore"},
    ],
)
def test_a_value_called_ignore_is_no_class_in_any_form_of_a_labels_file(names, tmp_path):
    assert parse_label_names(names, where="x") == {1: "liver"}
    (tmp_path / "labels.json").write_text(json.dumps(names))
    label = LabelVolume(np.array([[[0, 1], [3, 3]]], np.uint8), np.eye(4))
    write_label(label, tmp_path / "label.nii.gz")
    read = read_label(
        tmp_path / "label.nii.gz", labels=read_label_names(tmp_path / "labels.json", ignored=True)
    )
    assert read.values == (1,) and 3 not in read.names
    assert read.ignored.tolist() == [[[False, False], [True, True]]]
    assert read.unknown(1) is read.ignored and not read.is_complete


def test_a_segment_called_ignore_is_no_class_in_slicers_file(tmp_path):
    array = np.zeros((4, 4, 4), np.uint8)
    array[0], array[1] = 1, 2
    write_label(LabelVolume(array, np.eye(4), {1: "liver", 2: "ignore"}), tmp_path / "x.seg.nrrd")
    read = read_label(tmp_path / "x.seg.nrrd")
    assert read.values == (1,) and read.ignored[1].all() and not read.ignored[0].any()


def test_the_ignore_value_of_a_dataset_holds_for_its_labels_whatever_labels_are_named(tmp_path):
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    image, label = solids()
    array = label.array.copy()
    array[:3] = 4
    nib.save(nib.Nifti1Image(image.array, np.eye(4)), tmp_path / "imagesTr" / "a_0000.nii.gz")
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "labelsTr" / "a.nii.gz")
    description = {"channel_names": {"0": "MR"}, "labels": {"background": 0, "one": 1, "two": 3, "ignore": 4}}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    dataset = RawDataset.open(tmp_path)
    assert dataset.names == {1: "one", 3: "two"} and dataset.ignored == 4
    pair = (dataset.cases[0].image, dataset.cases[0].label)
    (tmp_path / "mine.json").write_text(json.dumps({"uno": 1, "tre": 3}))
    for labels in (None, tmp_path / "mine.json"):
        ((_, read),) = read_references([pair], labels=labels)
        assert read.values == (1, 3) and read.ignored[:3].all() and not read.ignored[3:].any()
    (tmp_path / "mine.json").write_text(json.dumps({"uno": 1, "tre": 3, "rim": 4}))
    ((_, read),) = read_references([pair], labels=tmp_path / "mine.json")
    assert read.values == (1, 3, 4) and read.is_complete, "a person who names the value means a class"


def test_voxels_to_ignore_move_with_their_label_onto_the_images_grid():
    image, label = solids()
    array = np.flip(label.array.transpose(2, 0, 1), 1).copy()
    move = np.eye(4)
    move[:3, :3] = [[0, -1, 0], [0, 0, 1], [1, 0, 0]]
    move[0, 3] = label.shape[0] - 1
    other = LabelVolume(array, image.affine @ move, ignored=array == 3)
    fitted = fit_label(other, image)
    assert np.array_equal(fitted.array, label.array) and np.array_equal(fitted.ignored, label.array == 3)


def test_a_perfect_result_scores_one_whatever_it_says_where_the_truth_is_to_be_ignored():
    truth = np.zeros((6, 6, 6), np.uint8)
    truth[1:4], truth[4] = 1, 4
    label = ignored_aside(LabelVolume(truth, np.eye(4), {1: "a", 2: "b", 4: "ignore"}))
    for guess in (0, 1, 2):
        result = np.where(truth == 4, guess, truth)
        scores = dice_per_class(label.array, result, [1, 2], label.unknown)
        assert scores[1].dice == 1.0 and scores[2].false_positive_voxels == 0
