"""Which small structures get a close-up, and in which box: the half of close-ups that looks at references.

Where structures fill little of a study, the whole study shows where they are. A box around them is then
prepared as if the study ended there and segmented at finer voxels, in windows that show the same frame in
reference and query (docs/decisions/0023). The query's half is iris_core.inference.close_up.
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
from iris_core.task.task import CloseUp, Task
from iris_core.triple import triple
from iris_core.volume.boxes import Box, box_around, voxels_in
from iris_core.volume.orientation import to_canonical
from iris_core.volume.volume import canonical_spacing


@dataclass(frozen=True)
class Views:
    """The voxel sizes at which a study is seen, mm along the RAS+ axes.

    Args:
        spacing: of the whole study.
        close_ups: of each close-up the names of its classes and its voxel size.
    """

    spacing: Spacing
    close_ups: tuple[tuple[tuple[str, ...], Spacing], ...] = ()


def choose_views(
    reference: Reference, classes: Sequence[ClassInfo], settings: CloseUpSettings = DEFAULTS.close_up
) -> Views:
    """The views that suit a reference, which shows at least one of the classes.

    Close-ups follow from all classes that the reference shows, so that a class alone is seen as it is among
    others. Where one close-up holds all classes, the voxels of the whole study need only be fine enough to
    find them.
    """
    names = [info.name for info in reference.classes]
    groups = close_up_groups(reference, settings)
    if groups and len(groups[0]) == len(names) and {info.name for info in classes} <= set(names):
        whole = finding_spacing(reference, settings)
    else:
        whole = choose_spacing(reference.image, reference.label_of(classes), "auto")
    close_ups = []
    for group in groups:
        box, label = reference_box(reference, group, settings), reference.label_of(_named(reference, group))
        close_ups.append((group, choose_spacing(reference.image, label, "auto", box)))
    return Views(whole, tuple(close_ups))


def close_up_groups(
    reference: Reference, settings: CloseUpSettings = DEFAULTS.close_up
) -> list[tuple[str, ...]]:
    """The classes of a reference that share a close-up, by name; none where the stage is off.

    All classes share one where the box around them leaves out half of the field of view. Otherwise, where
    there are few classes, each small one has a close-up of its own.
    """
    if not settings.enabled:
        return []
    field = voxels_in(nonzero_box(reference.image))
    names = tuple(info.name for info in reference.classes)
    if voxels_in(reference_box(reference, names, settings)) <= settings.largest_share * field:
        return [names]
    if len(names) > settings.most_alone:
        return []
    boxes = {name: reference_box(reference, [name], settings) for name in names}
    return [(name,) for name, box in boxes.items() if voxels_in(box) <= settings.small_share * field]


def reference_box(
    reference: Reference, names: Sequence[str], settings: CloseUpSettings = DEFAULTS.close_up
) -> Box:
    """The box around classes of a reference, with a margin, along the RAS+ axes in the image's own voxels.

    Raises:
        InputError: the reference shows none of the classes.
    """
    box, sizes = np.array(_drawn_box(reference, names)), canonical_spacing(reference.image.affine)
    lengths = (box[:, 1] - box[:, 0]) * sizes
    all_around = settings.margin_all * float(np.prod(lengths)) ** (1 / 3)
    margin = np.maximum(settings.margin_along * lengths, all_around) / sizes
    limits = np.array(nonzero_box(reference.image))
    first = np.maximum(np.floor(box[:, 0] - margin).astype(int), limits[:, 0])
    last = np.minimum(np.ceil(box[:, 1] + margin).astype(int), limits[:, 1])
    return triple(zip(first.tolist(), last.tolist(), strict=True))


def finding_spacing(reference: Reference, settings: CloseUpSettings = DEFAULTS.close_up) -> Spacing:
    """The voxel size that finds what a close-up will segment; never finer than the close-up needs."""
    coarse = choose_spacing(reference.image, None, "auto")
    cells = np.prod(coarse) / np.prod(reference.label.spacing)  # file voxels a working voxel
    layers = reference.label.layers or (reference.label.array,)
    counts = [n for layer in layers for n in np.unique(layer[layer != 0], return_counts=True)[1]]
    if min(counts) >= settings.least_cells * cells:
        return coarse
    return choose_spacing(reference.image, reference.label, "auto")


def close_up_of(reference: Reference, box: Box, task: Task) -> CloseUp:
    """The close-up of one reference.

    Args:
        reference: the whole study.
        box: as `reference_box` gives it.
        task: of the reference in the box.
    """
    sizes, sides = canonical_spacing(reference.image.affine), np.array(box)
    extent = (sides[:, 1] - sides[:, 0]) * sizes
    places = []
    for name in task.names:
        first, last = ((np.array(_drawn_box(reference, [name])).T - sides.mean(1)) * sizes).tolist()
        places.append((triple(first), triple(last)))
    return CloseUp(task, triple(extent.tolist()), tuple(places))


def _drawn_box(reference: Reference, names: Sequence[str]) -> Box:
    """The box around classes without a margin."""
    label = reference.label_of(_named(reference, names))
    drawn = np.any([layer != 0 for layer in label.layers or (label.array,)], axis=0)
    box = box_around(to_canonical(drawn, label.affine))
    if box is None:
        raise InputError("the label shows none of the classes", where=reference.name, found=", ".join(names))
    return box


def _named(reference: Reference, names: Sequence[str]) -> list[ClassInfo]:
    return [info for info in reference.classes if info.name in names]
