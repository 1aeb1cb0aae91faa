"""A label in other values carries no name of its old ones."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_label, write_label
from nnunet_trainers.datasets.label_file import renumbered


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd"])
def test_new_values_have_no_old_names(tmp_path, suffix):
    array = np.zeros((6, 7, 8), np.uint8)
    array[1:3], array[4:6] = 1, 2
    write_label(LabelVolume(array, np.eye(4), {1: "spleen", 2: "liver"}), tmp_path / f"a{suffix}")
    image = Volume(np.zeros(array.shape, np.float32), np.eye(4))
    write_label(renumbered(tmp_path / f"a{suffix}", image, {0: 0, 1: 2, 2: 1}), tmp_path / "new.nii.gz")
    label = read_label(tmp_path / "new.nii.gz")
    assert label.names == {} and np.array_equal(label.array == 2, array == 1)
