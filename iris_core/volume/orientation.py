"""Axis order and direction of a voxel array: the closest RAS+ arrangement, and the exact way back.

Only flips and permutations happen here, so no value is ever interpolated.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from iris_core.triple import triple


def axis_plan(affine: np.ndarray) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """How the array of an affine (4, 4), native voxel -> RAS+ mm, becomes RAS+.

    Gives `order[c]`, the native axis that becomes canonical axis c, and `flip[c]`, whether it runs backwards.
    """
    orientation = nib.io_orientation(affine)  # (3, 2): canonical axis and direction of every native axis
    order = triple(int(axis) for axis in np.argsort(orientation[:, 0]))
    flip = triple(bool(orientation[axis, 1] < 0) for axis in order)
    return order, flip


def to_canonical(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Reorders the last three axes from native to RAS+; leading axes stay. A view, not a copy."""
    order, flip = axis_plan(affine)
    lead = array.ndim - 3
    turned = array.transpose(*range(lead), *(lead + axis for axis in order))
    return np.flip(turned, tuple(lead + axis for axis in range(3) if flip[axis]))


def from_canonical(array: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Reorders the last three axes from RAS+ back to native; `affine` is the NATIVE affine. A view."""
    order, flip = axis_plan(affine)
    lead = array.ndim - 3
    turned = np.flip(array, tuple(lead + axis for axis in range(3) if flip[axis]))
    return turned.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(order)))


def canonical_affine(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """The affine of the RAS+ array that belongs to a native affine and native shape: (4, 4)."""
    back = nib.orientations.inv_ornt_aff(nib.io_orientation(affine), shape)  # canonical -> native voxel
    return np.asarray(affine, dtype=np.float64) @ back


def canonical_shape(affine: np.ndarray, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape of the RAS+ array that belongs to a native affine and native shape."""
    order, _ = axis_plan(affine)
    return shape[order[0]], shape[order[1]], shape[order[2]]
