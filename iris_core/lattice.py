"""Do a label and an image share their voxels? And bringing the label over where the answer is nearly.

A label may list its axes in another order, carry rounding noise in its affine, or hold just the painted part
of the image. All of that is a matter of reordering whole voxels. Anything else is another grid, and refused.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.errors import InputError
from iris_core.volume import LabelVolume, Volume

TOLERANCE_VOXELS = 0.1  # how far a corner of the label may lie from a voxel centre of the image


def same_grid(a: Volume | LabelVolume, b: Volume | LabelVolume) -> bool:
    """Whether both have the same shape, and the same affine up to a tenth of a voxel at the corners."""
    if a.shape != b.shape:
        return False
    corners = _corners(a.shape)
    offset = corners @ (np.linalg.inv(b.affine) @ a.affine).T - corners
    return bool(np.abs(offset).max() <= TOLERANCE_VOXELS)


def fit_label(label: LabelVolume, image: Volume) -> LabelVolume:
    """Brings a label onto its image's grid, voxel by voxel, never by interpolation.

    Args:
        label: the segmentation as read.
        image: the image that it belongs to.

    Returns:
        The label in the image's shape, order and affine.

    Raises:
        InputError: the label lies on another grid, has another size (unless its format may hold a part of the
            image, `LabelVolume.partial`), or has foreground outside the image.
    """
    if same_grid(label, image):
        return replace(label, affine=image.affine)
    if label.partial and not label.values:  # Slicer stores a segmentation without voxels as a single one
        empty = np.zeros(image.shape, dtype=np.uint8)
        return replace(label, array=empty, layers=(), affine=image.affine, partial=False)
    move = np.linalg.inv(image.affine) @ label.affine  # label voxel -> image voxel
    exact = np.rint(move)
    turn = exact[:3, :3]
    whole = all(np.array_equal(np.abs(turn).sum(axis=axis), [1, 1, 1]) for axis in (0, 1))
    corners = _corners(label.shape)
    if not whole or np.abs(corners @ (move - exact).T).max() > TOLERANCE_VOXELS:
        raise _other_grid(label, image)
    order = tuple(int(axis) for axis in np.argmax(np.abs(turn), axis=1))  # label axis of every image axis
    flips = [axis for axis in range(3) if turn[axis, order[axis]] < 0]
    first = np.rint((corners @ exact.T)[:, :3].min(axis=0)).astype(int)
    turned_shape = tuple(label.shape[axis] for axis in order)
    if not label.partial and (turned_shape != image.shape or first.any()):
        raise _other_grid(label, image)

    def moved(array: np.ndarray) -> np.ndarray:
        turned = np.flip(array.transpose(order), flips)
        low, high = np.maximum(first, 0), np.minimum(first + turned_shape, image.shape)
        full = np.zeros(image.shape, dtype=array.dtype)
        if (low < high).all():
            source = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
            full[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = turned[source]
        if np.count_nonzero(full) != np.count_nonzero(array):
            raise _other_grid(label, image)
        return full

    return replace(
        label,
        array=moved(label.array),
        layers=tuple(moved(layer) for layer in label.layers),
        affine=image.affine,
        partial=False,
    )


def _corners(shape: tuple[int, int, int]) -> np.ndarray:
    """(8, 4): the homogeneous voxel coordinates of the corner voxels."""
    ends = [(0, length - 1) for length in shape]
    return np.array([(i, j, k, 1) for i in ends[0] for j in ends[1] for k in ends[2]], dtype=np.float64)


def _other_grid(label: LabelVolume, image: Volume) -> InputError:
    return InputError(
        "the label's grid is not the image's",
        where=label.source,
        expected=f"{_describe(image)} as in {image.source or 'the image'}",
        found=_describe(label),
        remedy="give the label that was drawn on this image, or resample it onto the image's grid",
    )


def _describe(volume: Volume | LabelVolume) -> str:
    rows = " ".join(f"[{' '.join(f'{value:.4g}' for value in row)}]" for row in volume.affine[:3])
    return f"shape {'x'.join(map(str, volume.shape))} affine {rows}"
