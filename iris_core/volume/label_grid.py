"""Do a label and an image share their voxels? And bringing the label over where the answer is nearly.

A label may list its axes in another order, carry rounding noise in its affine, or hold just the painted part
of the image. All of that is a matter of reordering whole voxels. Anything else is another grid, and refused.
A NIfTI header can state two places for its voxels; a label that lies at either of them belongs to the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume.placement import ITK, corner_voxels
from iris_core.volume.volume import LabelVolume, Volume

TOLERANCE_VOXELS = 0.1  # how far a corner of the label may lie from a voxel centre of the image


def fit_label(label: LabelVolume, image: Volume) -> LabelVolume:
    """Brings a label onto its image's grid, voxel by voxel, never by interpolation.

    Where the header of the image or of the label states more than one place, each of them is tried. A label
    that fits elsewhere than where Iris places the image is taken, with a warning.

    Args:
        label: the segmentation as read.
        image: the image that it belongs to, whose shape, order and affine it takes on.

    Raises:
        InputError: the label lies on another grid, has another size (unless its format may hold a part of the
            image, `LabelVolume.partial`), or has foreground outside the image.
    """
    if label.partial and not label.values and label.is_complete:
        empty = np.zeros(image.shape, dtype=np.uint8)  # Slicer stores an empty label as a single voxel
        return _on(image, replace(label, array=empty, layers=()))
    for candidate, move, part, name in _attempts(label, image):
        fitted = _fitted(candidate, move, image, part)
        if fitted is not None:
            if name:
                remark(label.source, f"lies on the image as {name} places it; taken so")
            return _on(image, fitted)
    raise InputError(
        "the label's grid is not the image's",
        where=label.source,
        expected=f"{_describe(image)} as in {image.source or 'the image'}",
        found=_describe(label),
        remedy="give the label that was drawn on this image, or resample it onto the image's grid",
    )


def refuse_the_image(image: Volume, label: LabelVolume) -> None:
    """Refuses a label on the image's grid that is the image itself, voxel for voxel.

    Raises:
        InputError: it is.
    """
    if np.array_equal(image.array, label.array):
        raise InputError(
            "the label is the image itself",
            where=label.source,
            expected="a segmentation",
            found=f"the values of {image.source}",
            remedy="give the label that was drawn on it",
        )


def _attempts(label: LabelVolume, image: Volume) -> Iterator[tuple[LabelVolume, np.ndarray, bool, str]]:
    """The ways in which label and image may belong together, the likeliest first.

    Each is a label, the map (4, 4) from its voxels to the image's, whether it may hold just a part of the
    grid, and who places the image so; "" is Iris. Formats that hold a part of the grid are ITK's own: there
    ITK's reading of the image comes first, since a part can also fit at a wrong place by chance.
    """
    of_label = (label.affine, *(label.placement.others.values() if label.placement else ()))
    of_image = {"": image.affine, **(image.placement.others if image.placement else {})}
    if label.partial and ITK in of_image:
        of_image = {ITK: of_image[ITK], **of_image}
    for part in (False, True) if label.partial else (False,):  # the whole grid at any place goes first
        for (name, from_image), from_label in itertools.product(of_image.items(), of_label):
            yield label, np.linalg.inv(from_image) @ from_label, part, name
    for thinner in _thinned(label) if label.partial else ():
        yield thinner, np.linalg.inv(image.affine) @ thinner.affine, True, ""


def _thinned(label: LabelVolume) -> Iterator[LabelVolume]:
    """The label without slices that hold nothing: every 2nd, 3rd ... one where all that is drawn lies there.

    A DICOM SEG need not state the distance of its slices. Its thickness stands for it, which is less than the
    distance where the image's slices have gaps between them.
    """
    arrays = (label.array, *label.layers)
    drawn = np.flatnonzero(np.any([array.any(axis=(0, 1)) for array in arrays], axis=0))
    if len(drawn) < 2 or label.ignored is not None or label.unlabelled:
        return
    first, common = int(drawn[0]), int(np.gcd.reduce(np.diff(drawn)))
    for step in (number for number in range(2, common + 1) if common % number == 0):
        array, *layers = (one[:, :, first::step] for one in arrays)
        place = label.affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, step, first], [0, 0, 0, 1]])
        yield replace(label, array=array, layers=tuple(layers), affine=place)


def _fitted(label: LabelVolume, move: np.ndarray, image: Volume, part: bool) -> LabelVolume | None:
    """The label's arrays on the image's grid, moved by a map of voxels; None where they do not lie on it.

    Where the label may hold just a `part` of the grid, all that is drawn must lie inside the image.
    """
    exact = np.rint(move)
    turn = exact[:3, :3]
    whole = all(np.array_equal(np.abs(turn).sum(axis=axis), [1, 1, 1]) for axis in (0, 1))
    corners = corner_voxels(label.shape)
    if not whole or np.abs(corners @ (move - exact).T).max() > TOLERANCE_VOXELS:
        return None
    order = tuple(int(axis) for axis in np.argmax(np.abs(turn), axis=1))  # label axis of every image axis
    flips = [axis for axis in range(3) if turn[axis, order[axis]] < 0]
    first = np.rint((corners @ exact.T)[:, :3].min(axis=0)).astype(int)
    turned_shape = tuple(label.shape[axis] for axis in order)
    if not part and (turned_shape != image.shape or first.any()):
        return None

    def moved(array: np.ndarray) -> np.ndarray:
        turned = np.flip(array.transpose(order), tuple(flips))
        low, high = np.maximum(first, 0), np.minimum(first + turned_shape, image.shape)
        full = np.zeros(image.shape, dtype=array.dtype)
        if (low < high).all():
            source = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
            full[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = turned[source]
        return full

    array, layers = moved(label.array), tuple(moved(layer) for layer in label.layers)
    pairs = zip((array, *layers), (label.array, *label.layers), strict=True)
    if part and any(np.count_nonzero(new) != np.count_nonzero(old) for new, old in pairs):
        return None
    ignored = None if label.ignored is None else moved(label.ignored)
    unlabelled = {value: moved(mask) for value, mask in label.unlabelled.items()}
    return replace(label, array=array, layers=layers, ignored=ignored, unlabelled=unlabelled)


def _on(image: Volume, label: LabelVolume) -> LabelVolume:
    return replace(label, affine=image.affine, placement=image.placement, partial=False)


def _describe(volume: Volume | LabelVolume) -> str:
    rows = " ".join(f"[{' '.join(f'{value:.4g}' for value in row)}]" for row in volume.affine[:3])
    return f"shape {'x'.join(map(str, volume.shape))} affine {rows}"
