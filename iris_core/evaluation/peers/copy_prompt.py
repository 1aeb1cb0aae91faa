"""The peer that costs nothing: copy the reference's mask onto the query.

A model that sees the query must beat this. The mask is copied in two ways, and the better one of each pair
counts (chosen by the truth, so it is an upper bound that no user could reach).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iris_core.volume.orientation import canonical_shape, from_canonical, to_canonical
from iris_core.volume.volume import LabelVolume, Volume, canonical_spacing


def copy_prompt(label: LabelVolume, query: Volume, values: Sequence[int]) -> dict[str, LabelVolume]:
    """Copies a reference's label map onto a query's grid, in two ways.

    "rescaled": the reference's field of view is stretched to the query's. "centred": the copy has its true
    size in mm, and the centres of both fields of view coincide. Both are brought to canonical orientation
    first; every query voxel then takes the nearest reference voxel. Intensities do not matter.

    Args:
        label: the reference's label map.
        query: the image whose shape, orientation and spacing count.
        values: label values to copy; all others become background.
    """
    source = to_canonical(label.array, label.affine)
    kept = np.where(np.isin(source, list(values)), source, 0)
    shape = canonical_shape(query.affine, query.shape)
    steps = np.divide(canonical_spacing(query.affine), canonical_spacing(label.affine))
    copies = {}
    for how, nearest in (("rescaled", _stretched), ("centred", _centred)):
        indices = [nearest(*axis) for axis in zip(shape, kept.shape, steps, strict=True)]
        copy = np.ascontiguousarray(from_canonical(_take(kept, indices), query.affine))
        copies[how] = label_on_query(copy, query, label)
    return copies


def label_on_query(array: np.ndarray, query: Volume, like: LabelVolume) -> LabelVolume:
    """An array in a query's voxel order as its label map, with names and colours of a reference's label."""
    return replace(
        like, array=array, affine=query.affine, source=query.source, layers=(),
        placement=query.placement, ignored=None, unlabelled={},
    )  # fmt: skip


def _stretched(size: int, source_size: int, _step: float) -> np.ndarray:
    """Nearest source index of each target voxel when both extents cover each other."""
    return np.floor((np.arange(size) + 0.5) * source_size / size).astype(int)


def _centred(size: int, source_size: int, step: float) -> np.ndarray:
    """Nearest source index of each target voxel at true size, centre on centre; may lie outside."""
    position = (np.arange(size) - (size - 1) / 2) * step + (source_size - 1) / 2
    return np.floor(position + 0.5).astype(int)


def _take(array: np.ndarray, indices: Sequence[np.ndarray]) -> np.ndarray:
    """Takes array[i, j, k] for three index vectors; 0 where an index lies outside."""
    inside = [(index >= 0) & (index < size) for index, size in zip(indices, array.shape, strict=True)]
    clipped = [np.clip(index, 0, size - 1) for index, size in zip(indices, array.shape, strict=True)]
    within = inside[0][:, None, None] & inside[1][:, None] & inside[2]
    return np.where(within, array[np.ix_(*clipped)], 0)
