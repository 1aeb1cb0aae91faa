"""A closer look: where structures fill little of a study, they are looked at again from near.

The whole study says where they are; a box around them, prepared as if the study ended there, is seen at finer
voxels, in windows that show the same frame in reference and query (docs/decisions/0023).

reference + label -> choose_views -> one box a group of classes -> a task of its own
query + what the first look found -> query_box -> the same box around it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from iris_core.embedding import TaskEmbedding
from iris_core.grid import Box, Grid, Spacing, nonzero_box
from iris_core.orientation import canonical_affine, to_canonical
from iris_core.reference import ClassInfo, Reference
from iris_core.spacing import choose_spacing
from iris_core.triple import triple
from iris_core.volume import LabelVolume, voxel_sizes

Extent = tuple[float, float, float]
Place = tuple[Extent, Extent]  # first and last point of a class, mm from the centre of the box

LARGEST_SHARE = 0.5  # of the field of view that the box of all classes may fill, else they get none (ours)
SMALL_SHARE = 0.125  # of the field of view that the box of a class looked at alone may fill (ours)
MOST_ALONE = 8  # classes that are looked at one by one (ours)
MARGIN_ALONG, MARGIN_ALL = 0.25, 0.5  # of the structure's length along an axis, of its mean length (ours)
LEAST_CELLS = 8  # working voxels that the smallest class fills when it only has to be found (ours)
SAME_BOX = 0.9  # of two boxes' union that they share when they count as the same (ours)
LEAST_FOUND = 0.2  # of the volume that references show, below which there is nothing to look at (ours)
TAIL = 1.0  # per cent of what was found that may lie outside the query's box on each side (ours)


@dataclass(frozen=True)
class Views:
    """At which voxel sizes a study is seen.

    Args:
        spacing: of the whole study, mm along the RAS+ axes.
        looks: of each closer look the names of its classes and its voxel size.
    """

    spacing: Spacing
    looks: tuple[tuple[tuple[str, ...], Spacing], ...] = ()


def choose_views(reference: Reference, classes: Sequence[ClassInfo]) -> Views:
    """The views that suit a reference.

    Looks follow from all that the reference shows, whichever of it is wanted, so that a class alone is seen
    as it is among others. Where one look shows everything, the whole study has only to find it.

    Args:
        reference: shows at least one of the classes.
        classes: of the task.
    """
    names = [info.name for info in reference.classes]
    groups = look_groups(reference)
    if groups and len(groups[0]) == len(names) and {info.name for info in classes} <= set(names):
        whole = finding_spacing(reference)
    else:
        whole = choose_spacing(reference.image, reference.label_of(classes), "auto")
    looks = []
    for group in groups:
        box, label = reference_box(reference, group), reference.label_of(_named(reference, group))
        looks.append((group, choose_spacing(reference.image, label, "auto", box)))
    return Views(whole, tuple(looks))


def look_groups(reference: Reference) -> list[tuple[str, ...]]:
    """Which classes of a reference are looked at together, by name.

    All where the box around them leaves out half of the field of view; else, where there are few of them,
    each small one by itself.

    Args:
        reference: with a label that is not empty.
    """
    field = _volume(nonzero_box(reference.image))
    names = tuple(info.name for info in reference.classes)
    if _volume(reference_box(reference, names)) <= LARGEST_SHARE * field:
        return [names]
    if len(names) > MOST_ALONE:
        return []
    return [(name,) for name in names if _volume(reference_box(reference, [name])) <= SMALL_SHARE * field]


def reference_box(reference: Reference, names: Sequence[str]) -> Box:
    """The box around classes of a reference, with a margin, along the RAS+ axes in the image's own voxels.

    Args:
        reference: shows at least one of the classes.
        names: of the classes.
    """
    box, sizes = _drawn_box(reference, names), _sizes(reference)
    lengths = np.array([(stop - start) * size for (start, stop), size in zip(box, sizes, strict=True)])
    margin = np.maximum(MARGIN_ALONG * lengths, MARGIN_ALL * float(np.prod(lengths)) ** (1 / 3)) / sizes
    limits = nonzero_box(reference.image)
    return tuple(
        (max(int(np.floor(start - m)), low), min(int(np.ceil(stop + m)), high))
        for (start, stop), m, (low, high) in zip(box, margin, limits, strict=True)
    )  # type: ignore[return-value]


def finding_spacing(reference: Reference) -> Spacing:
    """The voxel size that finds what a closer look will draw; never finer than needed to draw it."""
    coarse = choose_spacing(reference.image, None, "auto")
    cells = np.prod(coarse) / np.prod(reference.label.spacing)  # file voxels a working voxel
    smallest = min(int((layer == value).sum()) for layer, value in _drawn(reference.label))
    if smallest >= LEAST_CELLS * cells:
        return coarse
    return choose_spacing(reference.image, reference.label, "auto")


def extent_of(references: Sequence[Reference], names: Sequence[str]) -> Extent:
    """The largest box around classes in several references, mm along the RAS+ axes."""
    lengths = [np.diff(reference_box(one, names), axis=1)[:, 0] * _sizes(one) for one in references]
    longest = np.max(lengths, axis=0)
    return float(longest[0]), float(longest[1]), float(longest[2])


def place_of(references: Sequence[Reference], names: Sequence[str], name: str) -> Place:
    """Where a class lies in the box around classes, on average over the references that show it.

    Args:
        references: at least one shows the class.
        names: of the classes that the box is around.
        name: of the class.
    """
    places = []
    for one in references:
        if any(info.name == name for info in one.classes):
            centre = np.mean(reference_box(one, names), axis=1)
            places.append((np.array(_drawn_box(one, [name])).T - centre) * _sizes(one))
    (a, b, c), (d, e, f) = np.mean(places, axis=0).tolist()
    return (a, b, c), (d, e, f)


def shown_volumes(pool: Sequence[TaskEmbedding], names: Sequence[str], spacing: Spacing) -> tuple[float, ...]:
    """The least volume that a reference shows of each class, mm^3; zeros where no masks are kept.

    Args:
        pool: one embedding per reference; every class is in one of them.
        names: of the classes.
        spacing: at which the references were encoded.
    """
    voxel = float(np.prod(spacing))
    volumes = []
    for name in names:
        shown = [float(one.volumes[one.names.index(name)]) * voxel for one in pool if name in one.names]
        volumes.append(min(shown))
    return tuple(volumes)


def enough_found(logits: Tensor, grid: Grid, volumes: Sequence[float]) -> bool:
    """Whether so much was found of any class that a closer look is at it and not at a mistake.

    A look is told that its structures are there and draws them. Where the query does not show them, the first
    pass finds a few voxels, mostly at the border of the view.

    Args:
        logits: (K, D, H, W) of the classes to look at.
        grid: where they lie.
        volumes: of the K classes in the references, mm^3.
    """
    native = np.prod(voxel_sizes(canonical_affine(grid.native_affine, grid.native_shape)))
    voxel = float(native * np.prod(grid.crop_shape) / np.prod(grid.shape))
    found = ((logits > 0).flatten(1).sum(1) * voxel).tolist()
    return any(one >= LEAST_FOUND * volume for one, volume in zip(found, volumes, strict=True))


def query_box(logits: Tensor, grid: Grid, extent: Extent, places: Sequence[Place], limits: Box) -> Box | None:
    """The box of a query that a closer look takes, along the RAS+ axes in the query's own voxels.

    It lies around what was found as the references' box lies around the same classes. It has their extent,
    or more, up to twice, where more was found.

    Args:
        logits: (K, D, H, W) of the classes to look at, from the whole query or an earlier look.
        grid: where they lie.
        extent: of the references' boxes, mm.
        places: of the K classes in the references' boxes.
        limits: of the whole query.

    Returns:
        The box; None where nothing was found.
    """
    shown = [k for k, one in enumerate(logits) if bool((one > 0).any())]
    if not shown:
        return None
    points = (logits > 0).any(0).nonzero().double().numpy() + 0.5  # (voxels found, 3)
    first, last = np.percentile(points, (TAIL, 100 - TAIL), axis=0)
    native = np.array(voxel_sizes(canonical_affine(grid.native_affine, grid.native_shape)))
    scale = np.array(grid.crop_shape) / np.array(grid.shape)  # native voxels a working voxel
    there = np.array([places[k] for k in shown])  # (classes found, 2, 3)
    lean = (there[:, 0].min(0) + there[:, 1].max(0)) / 2 / native  # their middle, from that of the box
    wanted = np.array(extent) / native  # native voxels
    length = np.clip((last - first) * scale * (1 + 2 * MARGIN_ALONG), wanted, 2 * wanted)
    centre = np.array(grid.crop)[:, 0] + (first + last) / 2 * scale - lean
    lowest, highest = np.array(limits).T
    low = np.clip(np.floor(centre - length / 2), lowest, highest - 1)
    high = np.clip(np.ceil(centre + length / 2), low + 1, highest)
    return triple((int(a), int(b)) for a, b in zip(low, high, strict=True))


def moved(old: Box, new: Box) -> bool:
    """Whether two boxes differ so much that another look is worth its time."""
    shared = np.prod([max(0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in zip(old, new, strict=True)])
    return bool(shared < SAME_BOX * (_volume(old) + _volume(new) - shared))


def _drawn(label: LabelVolume) -> list[tuple[np.ndarray, int]]:
    """Every structure of a label as its layer and its value there."""
    return [
        (layer, int(value)) for layer in label.layers or (label.array,) for value in np.unique(layer) if value
    ]


def _drawn_box(reference: Reference, names: Sequence[str]) -> Box:
    """The box around classes without a margin."""
    label = reference.label_of(_named(reference, names))
    drawn = to_canonical(
        np.any([layer != 0 for layer in label.layers or (label.array,)], axis=0), label.affine
    )
    box = []
    for others in ((1, 2), (0, 2), (0, 1)):
        hits = np.flatnonzero(drawn.any(axis=others))
        box.append((int(hits[0]), int(hits[-1]) + 1))
    return box[0], box[1], box[2]


def _named(reference: Reference, names: Sequence[str]) -> list[ClassInfo]:
    return [info for info in reference.classes if info.name in names]


def _sizes(reference: Reference) -> np.ndarray:
    return np.array(voxel_sizes(canonical_affine(reference.image.affine, reference.image.shape)))


def _volume(box: Box) -> int:
    return int(np.prod([stop - start for start, stop in box]))
