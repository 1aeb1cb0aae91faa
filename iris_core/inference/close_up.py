"""A close-up: small structures of a query again, in a box around them, at finer voxels.

Stage 9, docs/decisions/0023. Input: the masks of the whole query. Output: maps of the same classes in a box,
or none. Cost: the whole pipeline again, once or twice for each group of classes, on few voxels. The other
half, which decides from the references what gets a close-up, is iris_core.task.close_up.
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
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.task import CloseUp, Extent, Place
from iris_core.triple import triple
from iris_core.volume.boxes import Box, voxels_in
from iris_core.volume.volume import canonical_spacing


def close_up_maps(
    close_up: CloseUp,
    whole: dict[str, ClassMap],
    segment: Callable[[Box], dict[str, ClassMap]],
    settings: CloseUpSettings,
) -> dict[str, ClassMap]:
    """The classes of a close-up in a box around them; none where the query shows too little of them.

    Args:
        close_up: of the references.
        whole: maps by name, of the whole query.
        segment: gives the classes in a box.
        settings: of the stage.
    """
    latest, near = {name: whole[name] for name in close_up.task.names}, {}
    first = next(iter(latest.values())).grid
    volumes = shown_volumes(close_up.task.pool, close_up.task.names, close_up.task.spacing)
    if not enough_found(_logits(latest), first, volumes, settings.least_found):
        return {}
    box: Box | None = None
    for _ in range(settings.most_close_ups):  # again, where the first box was off
        grid = next(iter(latest.values())).grid
        new = query_box(_logits(latest), grid, close_up.extent, close_up.places, first.crop, settings)
        if new is None or (box is not None and not differ(box, new, settings.same_box)):
            break
        box = new
        try:
            latest = near = segment(box)
        except InputError:  # the box shows nothing but one value, so it cannot be prepared
            break
    return near


def shown_volumes(pool: Sequence[TaskEmbedding], names: Sequence[str], spacing: Spacing) -> tuple[float, ...]:
    """The least volume that a reference of a pool shows of each class, mm^3; zeros where no masks are kept.

    Every class is in one of the embeddings, which were made at this voxel size.
    """
    voxel = float(np.prod(spacing))
    volumes = []
    for name in names:
        shown = [float(one.volumes[one.names.index(name)]) * voxel for one in pool if name in one.names]
        volumes.append(min(shown))
    return tuple(volumes)


def enough_found(logits: Tensor, grid: Grid, volumes: Sequence[float], least: float) -> bool:
    """Whether the first pass finds so much of any class that a close-up is worth it.

    A close-up always segments its classes. Where the query does not show them, the first pass finds a few
    voxels, mostly at the border of the view.

    Args:
        logits: (K, D, H, W) of the classes of the close-up.
        grid: of the logits.
        volumes: of the K classes in the references, mm^3.
        least: share of such a volume that must be there.
    """
    native = np.prod(canonical_spacing(grid.native_affine))
    voxel = float(native * np.prod(grid.crop_shape) / np.prod(grid.shape))
    sizes = ((logits > 0).flatten(1).sum(1) * voxel).tolist()
    return any(size >= least * volume for size, volume in zip(sizes, volumes, strict=True))


def query_box(
    logits: Tensor,
    grid: Grid,
    extent: Extent,
    places: Sequence[Place],
    limits: Box,
    settings: CloseUpSettings = DEFAULTS.close_up,
) -> Box | None:
    """The box of a query for a close-up, along the RAS+ axes in the query's own voxels.

    It lies around the query's classes as the references' box lies around theirs. It has the extent of that
    box, or up to twice as much where the classes of the query reach further.

    Args:
        logits: (K, D, H, W) of the classes, from the whole query or an earlier close-up.
        grid: of the logits.
        extent: of the references' boxes, mm.
        places: of the K classes in the references' boxes.
        limits: of the whole query.
        settings: of the stage.

    Returns:
        The box; None where the logits are nowhere above 0.
    """
    present = [k for k, one in enumerate(logits) if bool((one > 0).any())]
    if not present:
        return None
    points = (logits > 0).any(0).nonzero().double().numpy() + 0.5  # (voxels, 3)
    first, last = np.percentile(points, (settings.box_tail, 100 - settings.box_tail), axis=0)
    native = np.array(canonical_spacing(grid.native_affine))
    scale = np.array(grid.crop_shape) / np.array(grid.shape)  # native voxels a working voxel
    ends = np.array([places[k] for k in present])  # (classes present, 2, 3)
    lean = (ends[:, 0].min(0) + ends[:, 1].max(0)) / 2 / native  # their middle, from that of the box
    least = np.array(extent) / native  # native voxels
    length = np.clip((last - first) * scale * (1 + 2 * settings.margin_along), least, 2 * least)
    centre = np.array(grid.crop)[:, 0] + (first + last) / 2 * scale - lean
    lowest, highest = np.array(limits).T
    low = np.clip(np.floor(centre - length / 2), lowest, highest - 1)
    high = np.clip(np.ceil(centre + length / 2), low + 1, highest)
    return triple((int(a), int(b)) for a, b in zip(low, high, strict=True))


def differ(old: Box, new: Box, same: float) -> bool:
    """Whether two boxes have less in common than this share of their union."""
    shared = np.prod([max(0, min(a[1], b[1]) - max(a[0], b[0])) for a, b in zip(old, new, strict=True)])
    return bool(shared < same * (voxels_in(old) + voxels_in(new) - shared))


def _logits(maps: dict[str, ClassMap]) -> Tensor:
    return torch.stack([one.logits for one in maps.values()])
