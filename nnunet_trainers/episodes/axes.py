"""The way between nnU-Net's axes and ours.

nnU-Net's readers give arrays as (k, j, i), and `transpose_forward` of the plans permutes them once more. The
network sees (i, j, k). With the reader that reorients (`NibabelIOWithReorient`) these are RAS+; with any
other they are the file's own, and then nothing of ours turns them either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

REORIENTING_READER = "NibabelIOWithReorient"


def to_ijk(plans: Mapping) -> tuple[int, int, int]:
    """For each of our axes (i, j, k) the axis of nnU-Net's arrays that holds it."""
    forward = list(plans["transpose_forward"])
    i, j, k = (forward.index(2 - axis) for axis in range(3))
    return i, j, k


def permuted(array: Tensor, order: Sequence[int]) -> Tensor:
    """(..., a, b, c) with its last three axes in the order given."""
    lead = array.ndim - 3
    return array.permute(*range(lead), *(lead + axis for axis in order))


def inverse(order: Sequence[int]) -> tuple[int, int, int]:
    """The order that undoes an order."""
    i, j, k = (list(order).index(axis) for axis in range(3))
    return i, j, k


def is_canonical(plans: Mapping) -> bool:
    """True where the plans' reader brings every image to RAS+."""
    return plans["image_reader_writer"] == REORIENTING_READER
