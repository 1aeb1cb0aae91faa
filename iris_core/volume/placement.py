"""Placement: how a NIfTI header places its voxels, number for number.

One header can state two places, the sform and the qform, and readers choose differently. A result that copies
the numbers of its query lies on the query in every reader.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Keys of `Placement.others`: the places by ITK, and by a program that takes every unit for mm.
ITK, UNITLESS = "ITK", "a program that knows no units"


@dataclass(frozen=True, eq=False)
class Placement:
    """How a NIfTI header states the place of its voxels.

    Attributes:
        fields: header field -> value as stored, in the file's own units: both forms, both codes, voxel sizes
            and the code of the units.
        shape: voxels along (i, j, k).
        affine: (4, 4) float64, voxel -> RAS+ mm, as nibabel reads the header; Iris works with this one.
        others: other places of the same voxels, each (4, 4), voxel -> RAS+ mm: "qform" where that differs
            from the sform, "ITK" where ITK reads the header differently, `UNITLESS` where the unit is not mm.
            Empty where all readers agree.
    """

    fields: Mapping[str, Any]
    shape: tuple[int, int, int]
    affine: np.ndarray
    others: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def itk(self) -> np.ndarray:
        """Where ITK, and with it ITK-SNAP and 3D Slicer, puts the voxels: (4, 4), voxel -> RAS+ mm."""
        return self.others.get(ITK, self.affine)

    def places(self, shape: tuple[int, int, int], affine: np.ndarray) -> bool:
        """Whether it describes exactly this grid; it holds for no other one."""
        return self.shape == tuple(shape) and np.array_equal(self.affine, affine)


def voxels_apart(a: np.ndarray, b: np.ndarray, shape: tuple[int, int, int]) -> float:
    """The largest distance between two places of a corner voxel, in voxels of `b` along its worst axis."""
    corners = corner_voxels(shape)
    return float(np.abs(corners @ (np.linalg.inv(b) @ a).T - corners).max())


def mm_apart(a: np.ndarray, b: np.ndarray, shape: tuple[int, int, int]) -> float:
    """The largest distance between two places of a corner voxel, in mm."""
    return float(np.linalg.norm((corner_voxels(shape) @ (a - b).T)[:, :3], axis=1).max())


def corner_voxels(shape: tuple[int, int, int]) -> np.ndarray:
    """(8, 4): the homogeneous voxel coordinates of the corner voxels."""
    ends = [(0, length - 1) for length in shape]
    return np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], dtype=np.float64)
