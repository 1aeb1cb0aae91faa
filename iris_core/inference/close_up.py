"""A close-up: small structures of a query again, in a box around them, at finer voxels.

Stage 9, docs/decisions/0023. Input: what the whole query shows of the classes. Output: their maps in a box,
or none. Cost: the whole pipeline again, once or twice for each group of classes, on few voxels. The other
half, which decides from the references what gets a close-up, is iris_core.task.closer_look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from iris_core.errors import InputError
from iris_core.inference.settings import DEFAULTS
from iris_core.inference.stages import CloseUpSettings
from iris_core.preprocessing.grid import ClassMap, Grid, Spacing
from iris_core.task.closer_look import Extent, Place
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.task import Look
from iris_core.triple import triple
from iris_core.volume.boxes import Box
from iris_core.volume.orientation import canonical_affine
from iris_core.volume.volume import voxel_sizes


def closer(
    look: Look,
    maps: dict[str, ClassMap],
    segment: Callable[[Box], dict[str, ClassMap]],
    settings: CloseUpSettings,
) -> dict[str, ClassMap]:
    """The classes of a close-up in a box around them; none where the query shows too little of them.

    Args:
        look: what is seen closer.
        maps: by name, of the whole query.
        segment: gives the classes in a box.
        settings: of the stage.
    """
    found, near = {name: maps[name] for name in look.task.names}, {}
    first = next(iter(found.values())).grid
    volumes = shown_volumes(look.task.pool, look.task.names, look.task.spacing)
    if not enough_found(_logits(found), first, volumes, settings.least_found):
        return {}
    box: Box | None = None
    for _ in range(settings.most_close_ups):  # again, where the first box was off
        grid = next(iter(found.values())).grid
        new = query_box(_logits(found), grid, look.extent, look.places, first.crop, settings)
        if new is None or (box is not None and not differ(box, new, settings.same_box)):
            break
        box = new
        try:
            found = near = segment(box)
        except InputError:  # the box shows nothing but one value, so it cannot be prepared
            break
    return near


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


def enough_found(logits: Tensor, grid: Grid, volumes: Sequence[float], least: float) -> bool:
    """Whether the whole query shows so much of any class that a close-up is worth it.

    A close-up always segments its classes, so it runs only if the first pass finds them. Where the query does
    not show them, that pass finds a few voxels, mostly at the border of the view.

    Args:
        logits: (K, D, H, W) of the classes to look at.
        grid: where they lie.
        volumes: of the K classes in the references, mm^3.
        least: share of such a volume that must be there.
    """
    native = np.prod(voxel_sizes(canonical_affine(grid.native_affine, grid.native_shape)))
    voxel = float(native * np.prod(grid.crop_shape) / np.prod(grid.shape))
    found = ((logits > 0).flatten(1).sum(1) * voxel).tolist()
    return any(one >= least * volume for one, volume in zip(found, volumes, strict=True))


def query_box(
    logits: Tensor,
    grid: Grid,
    extent: Extent,
    places: Sequence[Place],
    limits: Box,
    settings: CloseUpSettings = DEFAULTS.close_up,
) -> Box | None:
    """The box of a query that a closer look takes, along the RAS+ axes in the query's own voxels.

    It lies around what was found as the references' box lies around the same classes. It has their extent,
    or more, up to twice, where more was found.

    Args:
        logits: (K, D, H, W) of the classes to look at, from the whole query or an earlier look.
        grid: where they lie.
        extent: of the references' boxes, mm.
        places: of the K classes in the references' boxes.
        limits: of the whole query.
        settings: of the stage.

    Returns:
        The box; None where nothing was found.
    """
    shown = [k for k, one in enumerate(logits) if bool((one > 0).any())]
    if not shown:
        return None
    points = (logits > 0).any(0).nonzero().double().numpy() + 0.5  # (voxels found, 3)
    first, last = np.percentile(points, (settings.box_tail, 100 - settings.box_tail), axis=0)
    native = np.array(voxel_sizes(canonical_affine(grid.native_affine, grid.native_shape)))
    scale = np.array(grid.crop_shape) / np.array(grid.shape)  # native voxels a working voxel
    there = np.array([places[k] for k in shown])  # (classes found, 2, 3)
    lean = (there[:, 0].min(0) + there[:, 1].max(0)) / 2 / native  # their middle, from that of the box
    wanted = np.array(extent) / native  # native voxels
    length = np.clip((last - first) * scale * (1 + 2 * settings.margin_along), wanted, 2 * wanted)
    centre = np.array(grid.crop)[:, 0] + (first + last) / 2 * scale - lean
    lowest, highest = np.array(limits).T
    low = np.clip(np.floor(centre - length / 2), lowest, highest - 1)
    high = np.clip(np.ceil(centre + length / 2), low + 1, highest)
    return triple((int(a), int(b)) for a, b in zip(low, high, strict=True))


def differ(old: Box, new: Box, same: float) -> bool:
    """Whether two boxes have less in common than this share of their union."""
    shared = np.prod([max(0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in zip(old, new, strict=True)])
    return bool(shared < same * (_size(old) + _size(new) - shared))


def _logits(maps: dict[str, ClassMap]) -> Tensor:
    return torch.stack([one.logits for one in maps.values()])


def _size(box: Box) -> int:
    return int(np.prod([stop - start for start, stop in box]))
