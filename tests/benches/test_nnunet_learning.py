"""Laws of the comparison of two folders of labels that the bank drew."""

from __future__ import annotations

import re

import nibabel as nib
import numpy as np

from benchmarks.nnunet_learning import LEAST_DRAWN, agreement


def write(folder, name: str, boxes: dict[int, slice]):
    folder.mkdir(exist_ok=True)
    array = np.zeros((20, 20, 20), np.uint8)
    for value, box in boxes.items():
        array[box, :5, :4] = value
    nib.save(nib.Nifti1Image(array, np.eye(4)), folder / f"{name}.nii.gz")


def test_masks_that_are_hardly_drawn_say_nothing_about_likeness(tmp_path):
    """Class 1 is drawn alike, class 2 by one side in one row alone."""
    folders = [tmp_path / name for name in ("truth", "stock", "ours")]
    write(folders[0], "a", {1: slice(0, 10), 2: slice(10, 20)})
    write(folders[1], "a", {1: slice(0, 6), 2: slice(19, 20)})
    write(folders[2], "a", {1: slice(0, 6)})
    assert 20 < LEAST_DRAWN <= 120
    found = dict(re.findall(r"bank, (\w+ against \w+): Dice ([\d.]+)", agreement(*folders)))
    assert found == {
        "stock against ours": "1.000",
        "truth against stock": "0.466",  # mean of 12 / 16 and 2 / 11
        "truth against ours": "0.375",
    }
