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

from iris_core.errors import InputError
from iris_core.inference.settings import DEFAULTS
from iris_core.inference.stages import CloseUpSettings
from iris_core.preprocessing.grid import Spacing, nonzero_box
from iris_core.preprocessing.spacing import choose_spacing
from iris_core.task.reference import ClassInfo, Reference
from iris_core.volume.boxes import Box, box_around
from iris_core.volume.orientation import canonical_affine, to_canonical
from iris_core.volume.volume import LabelVolume, voxel_sizes

Extent = tuple[float, float, float]
Place = tuple[Extent, Extent]  # first and last point of a class, mm from the centre of the box


@dataclass(frozen=True)
class Views:
    """At which voxel sizes a study is seen.

    Args:
        spacing: of the whole study, mm along the RAS+ axes.
        looks: of each closer look the names of its classes and its voxel size.
    """

    spacing: Spacing
    looks: tuple[tuple[tuple[str, ...], Spacing], ...] = ()


def choose_views(
    reference: Reference, classes: Sequence[ClassInfo], settings: CloseUpSettings = DEFAULTS.close_up
) -> Views:
    """The views that suit a reference.

    Looks follow from all that the reference shows, whichever of it is wanted, so that a class alone is seen
    as it is among others. Where one look shows everything, the whole study has only to find it.

    Args:
        reference: shows at least one of the classes.
        classes: of the task.
        settings: of close-ups.
    """
    names = [info.name for info in reference.classes]
    groups = look_groups(reference, settings)
    if groups and len(groups[0]) == len(names) and {info.name for info in classes} <= set(names):
        whole = finding_spacing(reference, settings)
    else:
        whole = choose_spacing(reference.image, reference.label_of(classes), "auto")
    looks = []
    for group in groups:
        box, label = reference_box(reference, group, settings), reference.label_of(_named(reference, group))
        looks.append((group, choose_spacing(reference.image, label, "auto", box)))
    return Views(whole, tuple(looks))


def look_groups(reference: Reference, settings: CloseUpSettings = DEFAULTS.close_up) -> list[tuple[str, ...]]:
    """Which classes of a reference are looked at together, by name.

    All where the box around them leaves out half of the field of view; else, where there are few of them,
    each small one by itself.

    Args:
        reference: with a label that is not empty.
        settings: of close-ups; off: there are none.
    """
    if not settings.enabled:
        return []
    field = _volume(nonzero_box(reference.image))
    names = tuple(info.name for info in reference.classes)
    if _volume(reference_box(reference, names, settings)) <= settings.largest_share * field:
        return [names]
    if len(names) > settings.most_alone:
        return []
    boxes = {name: reference_box(reference, [name], settings) for name in names}
    return [(name,) for name, box in boxes.items() if _volume(box) <= settings.small_share * field]


def reference_box(
    reference: Reference, names: Sequence[str], settings: CloseUpSettings = DEFAULTS.close_up
) -> Box:
    """The box around classes of a reference, with a margin, along the RAS+ axes in the image's own voxels.

    Args:
        reference: shows at least one of the classes.
        names: of the classes.
        settings: of close-ups.
    """
    box, sizes = _drawn_box(reference, names), _sizes(reference)
    lengths = np.array([(stop - start) * size for (start, stop), size in zip(box, sizes, strict=True)])
    all_around = settings.margin_all * float(np.prod(lengths)) ** (1 / 3)
    margin = np.maximum(settings.margin_along * lengths, all_around) / sizes
    limits = nonzero_box(reference.image)
    return tuple(
        (max(int(np.floor(start - m)), low), min(int(np.ceil(stop + m)), high))
        for (start, stop), m, (low, high) in zip(box, margin, limits, strict=True)
    )  # type: ignore[return-value]


def finding_spacing(reference: Reference, settings: CloseUpSettings = DEFAULTS.close_up) -> Spacing:
    """The voxel size that finds what a closer look will draw; never finer than needed to draw it."""
    coarse = choose_spacing(reference.image, None, "auto")
    cells = np.prod(coarse) / np.prod(reference.label.spacing)  # file voxels a working voxel
    smallest = min(int((layer == value).sum()) for layer, value in _drawn(reference.label))
    if smallest >= settings.least_cells * cells:
        return coarse
    return choose_spacing(reference.image, reference.label, "auto")


def extent_of(
    references: Sequence[Reference], names: Sequence[str], settings: CloseUpSettings = DEFAULTS.close_up
) -> Extent:
    """The largest box around classes in several references, mm along the RAS+ axes."""
    lengths = [np.diff(reference_box(one, names, settings), axis=1)[:, 0] * _sizes(one) for one in references]
    longest = np.max(lengths, axis=0)
    return float(longest[0]), float(longest[1]), float(longest[2])


def place_of(
    references: Sequence[Reference],
    names: Sequence[str],
    name: str,
    settings: CloseUpSettings = DEFAULTS.close_up,
) -> Place:
    """Where a class lies in the box around classes, on average over the references that show it.

    Args:
        references: at least one shows the class.
        names: of the classes that the box is around.
        name: of the class.
        settings: of close-ups.
    """
    places = []
    for one in references:
        if any(info.name == name for info in one.classes):
            centre = np.mean(reference_box(one, names, settings), axis=1)
            places.append((np.array(_drawn_box(one, [name])).T - centre) * _sizes(one))
    (a, b, c), (d, e, f) = np.mean(places, axis=0).tolist()
    return (a, b, c), (d, e, f)


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
    box = box_around(drawn)
    if box is None:
        raise InputError("the label shows none of the classes", where=reference.name, found=", ".join(names))
    return box


def _named(reference: Reference, names: Sequence[str]) -> list[ClassInfo]:
    return [info for info in reference.classes if info.name in names]


def _sizes(reference: Reference) -> np.ndarray:
    return np.array(voxel_sizes(canonical_affine(reference.image.affine, reference.image.shape)))


def _volume(box: Box) -> int:
    return int(np.prod([stop - start for start, stop in box]))
