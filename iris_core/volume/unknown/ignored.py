"""Voxels that a label marks to be ignored: nnU-Net's "ignore" in any file that names values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.volume.label_names import is_ignored
from iris_core.volume.volume import LabelVolume


def ignored_aside(label: LabelVolume) -> LabelVolume:
    """The label in which the value called "ignore" is no value any more but `LabelVolume.ignored`.

    A voxel to ignore belongs to no class, whatever another layer shows there. A label without such a value
    is given back as it is.
    """
    values = [value for value, name in label.names.items() if is_ignored(name)]
    if not values:
        return label
    ignored = np.asarray(label.masks(values).any(0))
    if label.ignored is not None:
        ignored |= label.ignored

    def kept(array: np.ndarray) -> np.ndarray:
        return np.where(ignored, 0, array).astype(array.dtype) if ignored.any() else array

    return replace(
        label,
        array=kept(label.array),
        layers=tuple(kept(layer) for layer in label.layers),
        names={value: name for value, name in label.names.items() if value not in values},
        colors={value: color for value, color in label.colors.items() if value not in values},
        ignored=ignored if ignored.any() else None,
    )
