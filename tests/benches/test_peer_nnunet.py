"""Laws of the nnU-Net peer that need no nnU-Net: its dataset of references, and when its curve is flat."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks.peer_nnunet.held_back import Check, draw_curve, is_done, is_flat
from benchmarks.peer_nnunet.reference_dataset import write_dataset as write_references
from iris_core.evaluation.pairs import ReferenceSet
from iris_core.volume_io import read_label
from iris_core.volume_io.folder.raw_dataset import RawDataset
from tests.stub_engine import label_array, write_dataset


def curve(*dice: float, step: float = 1.0) -> list[Check]:
    return [Check(step * (n + 1), value, 0.0) for n, value in enumerate(dice)]


RISING = curve(*np.linspace(0, 0.8, 20))
LEVEL = curve(*np.linspace(0, 0.8, 10), *[0.8] * 10)


def test_a_curve_is_flat_when_its_last_quarter_brings_nothing():
    assert is_flat(LEVEL) and not is_flat(RISING)
    assert not is_flat(curve(0.8, 0.8, 0.8))  # too few looks to say


def test_a_late_dip_is_flat_and_a_late_rise_is_not():
    assert is_flat([*LEVEL[:-1], Check(20, 0.3, 0)])
    assert not is_flat([*LEVEL[:-1], Check(20, 0.81, 0)])


def test_it_ends_at_the_later_of_flat_and_the_minutes():
    assert not is_done(LEVEL, minutes=30, most=None)
    assert is_done(LEVEL, minutes=20, most=None)
    assert not is_done(RISING, minutes=5, most=None)
    assert is_done(RISING, minutes=5, most=10)
    assert not is_done([], minutes=5, most=10)


def test_the_curve_is_drawn(tmp_path):
    draw_curve(LEVEL, tmp_path / "curve.png", "one")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_dataset_holds_the_references_alone_with_values_from_one_on(tmp_path: Path):
    source = RawDataset.open(write_dataset(tmp_path / "Dataset001_Boxes", cases=4))
    chosen = ReferenceSet(source.cases[:2], source.cases[2:], (1, 3))
    made = write_references(tmp_path / "raw", 2, chosen, source.names, "CT")
    folder = tmp_path / "raw" / made.name
    assert sorted(path.name for path in (folder / "imagesTr").iterdir()) == [
        "case_1_0000.nii.gz",
        "case_2_0000.nii.gz",
    ]
    description = json.loads((folder / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "liver": 1, "kidney": 2}
    assert description["channel_names"] == {"0": "CT"} and description["numTraining"] == 2
    label = read_label(folder / "labelsTr/case_2.nii.gz")
    assert label.values == (1, 2)
    assert np.array_equal(made.original(label.array), label_array(1))


def test_a_class_that_is_not_asked_is_background(tmp_path: Path):
    source = RawDataset.open(write_dataset(tmp_path / "Dataset001_Boxes", cases=2))
    chosen = ReferenceSet(source.cases[:1], source.cases[1:], (3,), missing=(1,))
    made = write_references(tmp_path / "raw", 0, chosen, source.names, "CT")
    label = read_label(tmp_path / "raw" / made.name / "labelsTr/case_1.nii.gz")
    assert np.array_equal(label.array == 1, label_array(0) == 3) and label.values == (1,)
