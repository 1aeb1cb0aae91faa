"""Does a label lie on its image's voxels? Answered from the two headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from iris_core.volume.label_grid import TOLERANCE_VOXELS

Shape = tuple[int, int, int]
WHOLE, PART, INSIDE = "whole", "part", "inside"


def lies_on(label: Shape, label_affine: np.ndarray, image: Shape, image_affine: np.ndarray) -> str:
    """How a label's lattice lies on an image's.

    Args:
        label: voxels of the label.
        label_affine: (4, 4), voxel -> RAS+ mm.
        image: voxels of the image.
        image_affine: (4, 4), voxel -> RAS+ mm.

    Returns:
        "whole": the same voxels, perhaps with the axes in another order; "inside": a part that ends within
        the image and does not begin at its first voxel; "part": voxels of the image's lattice, some of them
        in the image; "": another lattice, or no voxel in common.
    """
    move = np.linalg.inv(image_affine) @ label_affine  # label voxel -> image voxel
    exact = np.rint(move)
    turn = np.abs(exact[:3, :3])
    if not all(np.array_equal(turn.sum(axis=axis), [1, 1, 1]) for axis in (0, 1)):
        return ""
    corners = np.array([(*end, 1.0) for end in product(*((0, length - 1) for length in label))])
    if np.abs(corners @ (move - exact).T).max() > TOLERANCE_VOXELS:
        return ""
    placed = np.rint(corners @ exact.T)[:, :3]
    first, last = placed.min(axis=0), placed.max(axis=0)
    end = np.array(image) - 1
    if not first.any() and np.array_equal(last, end):
        return WHOLE
    if (first >= 0).all() and (last <= end).all() and first.any():
        return INSIDE
    return PART if (last >= 0).all() and (first <= end).all() else ""


@dataclass(frozen=True)
class Place:
    """How a label lies on its image.

    Attributes:
        how: as `lies_on` gives it.
        label: the label's affine that fits, (4, 4) voxel -> RAS+ mm.
        image: the image's affine that it fits to.
    """

    how: str
    label: np.ndarray
    image: np.ndarray


def best_place(
    label: Shape, label_affines: Sequence[np.ndarray], image: Shape, image_affines: Sequence[np.ndarray]
) -> Place:
    """The best way in which one of a label's places lies on one of the image's.

    A NIfTI header may state two places, and tools choose differently; either is the image's own.
    """
    tried = [
        Place(lies_on(label, own, image, theirs), own, theirs)
        for theirs in image_affines
        for own in label_affines
    ]
    return min(tried, key=lambda place: (WHOLE, INSIDE, PART, "").index(place.how))
