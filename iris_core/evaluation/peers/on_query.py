"""A peer's label map as one that lies in the query's own grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.volume.volume import LabelVolume, Volume


def label_on_query(array: np.ndarray, query: Volume, like: LabelVolume) -> LabelVolume:
    """The array as a label map of the query, with the names and colours of a reference's label.

    Args:
        array: (I, J, K) integer, in the query's voxel order.
        query: the image that the array belongs to.
        like: the label whose names and colours count.
    """
    return replace(
        like, array=array, affine=query.affine, source=query.source, layers=(),
        placement=query.placement, ignored=None, unlabelled={},
    )  # fmt: skip
