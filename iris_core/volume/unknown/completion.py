"""A guess of the classes in voxels that a label leaves unknown: by outlines nearby and by intensities.

The guess fills the label, so that a whole structure is learnt of the reference; whatever is fitted on the
reference goes by known voxels alone (docs/decisions/0065).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from iris_core.triple import triple
from iris_core.volume.boxes import box_around
from iris_core.volume.unknown.shapes import NOWHERE, plane_shapes
from iris_core.volume.unknown.tissue import binned, histogram, log_odds
from iris_core.volume.volume import LabelVolume, Volume, label_from_masks

MARGIN = 0.25  # of a structure's length along an axis, kept around it (ours)
THIN_MARGIN = 0.5  # of its greatest length, where it is known to be less than half as long (ours)
HIDDEN_MARGIN = 1.0  # of its greatest length, where voxels to ignore may hide more of it (ours)
LEAST_MARGIN = 8  # voxels
IN_PLANES = 0.95  # of the unknown voxels that lie in planes of which nothing is known, to go plane by plane
SMOOTH, LAST = 0.5, 0.7  # voxels, standard deviations that smooth the image and the odds (ours)
CLEAR, FADING = 0.5, 0.35  # voxels of doubt about an outline as drawn, and per voxel away from it (ours)
WORTH = 0.75  # of the intensities' log odds (ours)
NEAR = 8  # voxels around a structure that count as its surroundings (ours)
SURE = 6.0  # log odds at most, so that smoothing stays local (ours)
THICK, FAR = 0.25, 1.5  # of a stroke's length: half of a structure's thickness; times that, background (ours)
BEYOND = 6.0  # doubts outside an outline, where the structure ends whatever the intensities are (ours)

Sides = tuple[slice, slice, slice]


class _Scene(NamedTuple):
    """What is known of one class near it, the axis of its planes first; the arrays have one shape."""

    image: np.ndarray  # intensities
    mask: np.ndarray  # known voxels of the class
    unknown: np.ndarray  # voxels that the label leaves unknown
    other: np.ndarray  # known voxels of other classes
    sizes: tuple[float, ...]  # of a voxel, mm

    @property
    def voxel(self) -> float:
        """Its shortest side, mm."""
        return min(self.sizes)

    def smoothed(self, array: np.ndarray, voxels: float) -> np.ndarray:
        """An array smoothed by so many of the smallest voxels' sides in all directions."""
        from scipy.ndimage import gaussian_filter

        return gaussian_filter(array.astype(np.float32), [voxels * self.voxel / s for s in self.sizes])

    def along(self, axis: int) -> _Scene:
        """The scene with another axis first."""
        image, mask, unknown, other = (np.moveaxis(array, axis, 0) for array in self[:4])
        sizes = (self.sizes[axis], *np.delete(self.sizes, axis).tolist())
        return _Scene(image, mask, unknown, other, sizes)


def completed(label: LabelVolume, image: Volume) -> LabelVolume:
    """The label on its image's grid, with a guess of its classes in all voxels that it leaves unknown.

    The guess rests on known voxels alone, so that completing twice is completing once. What is known stays,
    and what is unknown stays marked. A label that leaves nothing unknown is given back as it is.
    """
    if label.is_complete:
        return label
    unknown = {value: label.unknown(value) for value in label.values}
    known, odds = {}, {}
    array = np.zeros_like(label.array)
    for value, hidden in unknown.items():
        mask = label.masks([value])[0]
        known[value] = mask if hidden is None else mask & ~hidden
        array[known[value]] = value
    for value, hidden in unknown.items():
        if hidden is None or not known[value].any():
            continue
        sides = _surroundings(known[value], hidden, label.spacing, ignored=value not in label.unlabelled)
        if hidden[sides].any():
            # layers may overlap, so that a voxel of another class may be this one too
            other = np.zeros_like(hidden[sides]) if label.layers else ~np.isin(array[sides], (0, value))
            scene = _Scene(image.array[sides], known[value][sides], hidden[sides], other, label.spacing)
            odds[value] = sides, _guess(scene)
    if label.layers:
        for value, (sides, one) in odds.items():
            known[value][sides] |= one > 0
        whole = label_from_masks(np.stack(list(known.values())), label.values, label.affine)
        return replace(label, array=whole.array, layers=whole.layers)
    best = np.where(array > 0, np.inf, 0).astype(np.float32)
    for value, (sides, one) in odds.items():
        ahead = one > best[sides]
        array[sides][ahead] = value
        best[sides][ahead] = one[ahead]
    return replace(label, array=array)


def _guess(scene: _Scene) -> np.ndarray:
    """Log odds of a class in the unknown voxels near it; elsewhere minus infinity."""
    axis = _axis_of_planes(scene)
    turned = scene.along(axis or 0)
    found = _by_distance(turned) if axis is None else _by_planes(turned)
    return np.moveaxis(np.where(turned.unknown, found, NOWHERE), 0, axis or 0)


def _by_planes(scene: _Scene) -> np.ndarray:
    """Log odds from the outlines in drawn planes."""
    drawn = (~scene.other & ~scene.unknown).any(axis=(1, 2))
    shapes = plane_shapes(scene.mask, drawn, scene.sizes)
    known = np.broadcast_to(drawn[:, None, None], scene.mask.shape)
    bins = binned(scene.smoothed(scene.image, SMOOTH), known)
    parts = {
        k: histogram(bins[k], scene.mask[k], ~scene.mask[k] & (shapes.inside[k] > -NEAR * scene.voxel))
        for k in np.flatnonzero(drawn & scene.mask.any(axis=(1, 2))).tolist()
    }
    everywhere = np.sum(list(parts.values()), axis=0)
    odds = np.where(scene.mask, SURE, -SURE).astype(np.float32)  # of the drawn planes; others follow
    for k in np.flatnonzero(~drawn).tolist():
        if not shapes.sources[k]:
            continue
        nearby = np.sum([parts[source] for source in shapes.sources[k]], axis=0)
        doubt = CLEAR * scene.voxel + FADING * shapes.away[k] * scene.sizes[0]
        by_intensity = log_odds(nearby, everywhere)[bins[k]]
        odds[k] = _joined(shapes.inside[k], doubt, by_intensity, scene.voxel)
    return np.where(odds > -SURE, scene.smoothed(odds, LAST), NOWHERE)


def _by_distance(scene: _Scene) -> np.ndarray:
    """Log odds from how near the known voxels are of the class and of what is not the class.

    Where no voxel of the background is known, what lies far from the strokes is taken for it.
    """
    from scipy.ndimage import distance_transform_edt

    nearer = distance_transform_edt(~scene.mask, sampling=scene.sizes)
    outside, inside = ~scene.mask & ~scene.unknown, np.full(scene.mask.shape, np.inf)
    if outside.any():
        inside = (distance_transform_edt(~outside, sampling=scene.sizes) - nearer) / 2
    around = outside
    if not (outside & ~scene.other).any():
        reach = THICK * _stroke_length(scene)
        inside = np.minimum(inside, reach - nearer)
        around = outside | (~scene.mask & (nearer > FAR * reach) & (nearer < 2 * FAR * reach))
    bins = binned(scene.smoothed(scene.image, SMOOTH), scene.mask | around)
    every = histogram(bins, scene.mask, around)
    doubt = CLEAR * scene.voxel + FADING * np.maximum(np.minimum(nearer, nearer + 2 * inside), 0)
    odds = _joined(inside, doubt, log_odds(every, every)[bins], scene.voxel)
    odds = np.where(scene.mask, SURE, np.where(outside, -SURE, odds))
    return np.where(odds > -SURE, scene.smoothed(odds, LAST), NOWHERE)


def _stroke_length(scene: _Scene) -> float:
    """Of the strokes of a class, along the axis that each is longest on, mm; the median."""
    from scipy.ndimage import find_objects, label

    strokes, _ = label(scene.mask, np.ones((3, 3, 3)))
    lengths = [
        max((side.stop - side.start) * size for side, size in zip(sides, scene.sizes, strict=True))
        for sides in find_objects(strokes)
    ]
    return float(np.median(lengths))


def _joined(
    inside: np.ndarray, doubt: np.ndarray | float, by_intensity: np.ndarray, voxel: float
) -> np.ndarray:
    """Log odds of place and intensity together, within bounds."""
    odds = np.clip(inside / doubt + WORTH * by_intensity, -SURE, SURE)
    return np.where(inside < -BEYOND * np.maximum(doubt, voxel), -SURE, odds)


def _surroundings(mask: np.ndarray, unknown: np.ndarray, sizes: Sequence[float], *, ignored: bool) -> Sides:
    """The box around a class (I, J, K) with a margin, as far as anything is unknown there.

    The margin is wider where the unknown voxels are `ignored` ones, which may hide most of the class.
    """
    drawn = box_around(mask) or triple((0, length) for length in mask.shape)
    lengths = [(stop - start) * size for (start, stop), size in zip(drawn, sizes, strict=True)]
    box = []
    for (start, stop), length, size, end in zip(drawn, lengths, sizes, mask.shape, strict=True):
        margin = MARGIN * length if 2 * length >= max(lengths) else THIN_MARGIN * max(lengths)
        margin = HIDDEN_MARGIN * max(lengths) if ignored else margin
        voxels = max(LEAST_MARGIN, int(margin / size))
        box.append(slice(max(0, start - voxels), min(end, stop + voxels)))
    needed = box_around(mask[tuple(box)] | unknown[tuple(box)]) or drawn
    return triple(
        slice(side.start + max(0, first - LEAST_MARGIN), min(side.stop, side.start + last + LEAST_MARGIN))
        for side, (first, last) in zip(box, needed, strict=True)
    )


def _axis_of_planes(scene: _Scene) -> int | None:
    """The axis along which whole planes are unknown while others are known; None where there is none."""
    best, found = 0.0, None
    for axis in range(3):
        turned = scene.along(axis)
        drawn = (~turned.other & ~turned.unknown).any(axis=(1, 2))
        share = turned.unknown[~drawn].sum() / max(1, turned.unknown.sum())
        if drawn.any() and share >= IN_PLANES and share > best:
            best, found = float(share), axis
    return found
