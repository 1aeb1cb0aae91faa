"""Structure: the voxels of one class in the smallest box that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.volume.boxes import box_around, slices_of
from iris_core.volume.volume import LabelVolume

LARGEST = 65535  # value up to which all boxes are found in one pass


@dataclass(frozen=True, eq=False)
class Structure:
    """One class of a label.

    Attributes:
        mask: (i, j, k) bool, the box; each of its sides shows the class.
        start: of the box in the label, voxels.
    """

    mask: np.ndarray
    start: tuple[int, int, int]

    def along(self, axis: int) -> np.ndarray:
        """(N, H, W) bool: the box with an axis first."""
        return np.moveaxis(self.mask, axis, 0)

    def planes(self, axis: int) -> np.ndarray:
        """The planes of the label, perpendicular to an axis, that show the class, ascending."""
        others = tuple(a for a in range(3) if a != axis)
        return self.start[axis] + np.flatnonzero(self.mask.any(axis=others))


def structures_of(label: LabelVolume, values: Sequence[int]) -> dict[int, Structure]:
    """Value -> structure, of classes that occur in a label."""
    from scipy.ndimage import find_objects

    found = {}
    for layer in label.layers or (label.array,):
        boxes = find_objects(layer) if 0 < layer.max(initial=0) <= LARGEST else []
        for value in values:
            if boxes:
                box = boxes[value - 1] if value <= len(boxes) else None
            else:
                box = _box(layer == value)
            if box is not None:
                start = (box[0].start, box[1].start, box[2].start)
                found[value] = Structure(layer[box] == value, start)
    return {value: found[value] for value in values}


def _box(mask: np.ndarray) -> tuple[slice, slice, slice] | None:
    box = box_around(mask)
    return None if box is None else slices_of(box)
