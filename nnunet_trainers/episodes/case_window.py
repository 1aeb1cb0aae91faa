"""Windows of preprocessed cases, in nnU-Net's axes. Padding is 0 in images, the mean, and -1 in labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Stored = Any  # an array of (1, a, b, c), in memory or packed in a file, read where it is indexed
OUTSIDE = -1  # label of voxels beyond the volume, as nnU-Net marks them


@dataclass(frozen=True)
class CaseWindow:
    """A part of a case.

    Args:
        image: (1, a, b, c) float32.
        labels: (1, a, b, c) int16.
        offset: (3,) float32, centre of the window minus centre of the volume, voxels.
    """

    image: Tensor
    labels: Tensor
    offset: Tensor


def draw_start(
    shape: Sequence[int],
    window: Sequence[int],
    voxel: Sequence[int] | None,
    rng: np.random.Generator,
    box: tuple[Sequence[int], Sequence[int]] | None = None,
) -> tuple[int, ...]:
    """The first voxel of a window at a random place.

    Along an axis on which the volume is smaller than the window, the volume lies anywhere inside it.

    Args:
        shape: of the volume.
        window: sides of the window.
        voxel: one that the window must hold, or None.
        rng: source of the place.
        box: first and last voxels of a region around the voxel, which the window holds whole along every axis
            on which it fits; None: none.
    """
    start = []
    for axis, (length, side) in enumerate(zip(shape, window, strict=True)):
        first, last = sorted((0, length - side))
        if voxel is not None:
            near, far = int(voxel[axis]), int(voxel[axis])
            if box is not None and box[1][axis] - box[0][axis] < side:
                near, far = int(box[0][axis]), int(box[1][axis])
            first, last = max(first, far - side + 1), min(last, near)
        start.append(int(rng.integers(first, last + 1)))
    return tuple(start)


def cut(image: Stored, labels: Stored, start: Sequence[int], window: Sequence[int]) -> CaseWindow:
    """Cuts a window out of stored arrays (1, a, b, c), padded where it leaves them."""
    shape = image.shape[1:]
    offset = [s + w / 2 - n / 2 for s, w, n in zip(start, window, shape, strict=True)]
    return CaseWindow(
        torch.from_numpy(_cut(image, start, window, 0.0, np.float32)),
        torch.from_numpy(_cut(labels, start, window, OUTSIDE, np.int16)),
        torch.tensor(offset, dtype=torch.float32),
    )


def middle(window: CaseWindow, sides: Sequence[int]) -> CaseWindow:
    """The middle of a window, with the sides given; the offset stays."""
    place = [slice(None)]
    for length, side in zip(window.image.shape[1:], sides, strict=True):
        first = (length - side) // 2
        place.append(slice(first, first + side))
    return CaseWindow(window.image[tuple(place)], window.labels[tuple(place)], window.offset)


def _cut(stored: Stored, start: Sequence[int], window: Sequence[int], fill: float, kind: type) -> np.ndarray:
    result: np.ndarray = np.full((stored.shape[0], *window), fill, dtype=kind)
    source, target = [slice(None)], [slice(None)]
    for s, w, n in zip(start, window, stored.shape[1:], strict=True):
        source.append(slice(max(0, s), min(n, s + w)))
        target.append(slice(source[-1].start - s, source[-1].stop - s))
    result[tuple(target)] = stored[tuple(source)]
    return result
