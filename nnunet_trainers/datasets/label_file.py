"""A dataset's label in other values: what union and graduation write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label
from iris_core.volume.label_names import IGNORED
from iris_core.volume.label_values import label_dtype
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_label


def renumbered(
    path: Path,
    image: Volume,
    values: Mapping[int, int],
    *,
    ignore: int | None = None,
    ignore_as: int | None = None,
) -> LabelVolume:
    """Reads a label, brings it onto its image's voxels, and gives every structure its new value.

    The file's own names go with its old values; dataset.json names the new ones.

    Args:
        path: the label file.
        image: its image; the grid is enough.
        values: old value -> new value.
        ignore: old value of voxels to ignore, where the file itself does not name it.
        ignore_as: their new value.

    Raises:
        InputError: a value that is not in `values`, structures that share a voxel, voxels to ignore that get
            no new value, or a label that does not lie on its image.
    """
    label = fit_label(read_label(path, labels=None if ignore is None else {ignore: IGNORED}), image)
    if label.ignored is not None and ignore_as is None:
        raise InputError(
            "holds voxels to ignore, and the dataset has no value for them",
            where=path,
            remedy=f'name the value "{IGNORED}" in the dataset.json that it comes from',
        )
    unnamed = sorted(set(label.values) - set(values))
    if unnamed:
        raise InputError(
            "holds a value without a name",
            where=path,
            expected=", ".join(map(str, sorted(values))),
            found=", ".join(map(str, unnamed)),
            remedy="name the value, or take it out of the label",
        )
    if sum(np.count_nonzero(layer) for layer in label.layers) > np.count_nonzero(label.array):
        raise InputError(
            "structures overlap, and nnU-Net keeps one value a voxel",
            where=path,
            remedy="decide which structure a voxel belongs to",
        )
    largest = max(*values.values(), ignore_as or 0)
    table = np.zeros(max(values) + 1, dtype=label_dtype(largest))
    table[list(values)] = list(values.values())
    array = table[label.array]
    if label.ignored is not None:
        array[label.ignored] = ignore_as
    return replace(label, array=array, layers=(), names={}, colors={}, ignored=None)
