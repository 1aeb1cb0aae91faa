"""Padding and windows: which parts of a volume the network sees at once, and where they lie.

Padding is 0, the mean of a z-scored image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.config import DOWNSAMPLE_RATIO
from iris_core.progress import Progress
from iris_core.triple import triple
from iris_core.volume.boxes import box_around

SHORTEST = 32  # voxels per side that the network sees at least
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Padding:
    """How a volume was padded."""

    before: Shape  # voxels added in front, per axis
    shape: Shape  # of the volume without padding

    def remove(self, maps: Tensor) -> Tensor:
        """(..., D', H', W') -> (..., D, H, W)."""
        i, j, k = (slice(b, b + n) for b, n in zip(self.before, self.shape, strict=True))
        return maps[..., i, j, k]


def fitting(length: int) -> int:
    """The next length that the network can take."""
    return max(SHORTEST, -(-length // DOWNSAMPLE_RATIO) * DOWNSAMPLE_RATIO)


def pad(volume: Tensor, shape: Shape | None = None) -> tuple[Tensor, Padding]:
    """Pads both ends of each axis of (C, D, H, W) with 0, to a shape or to lengths that the network takes."""
    old = triple(volume.shape[1:])
    new = triple(fitting(n) for n in old) if shape is None else shape
    before = triple((n - o) // 2 for n, o in zip(new, old, strict=True))
    widths = [(b, n - o - b) for n, o, b in zip(new, old, before, strict=True)]
    return F.pad(volume, [width for axis in reversed(widths) for width in axis]), Padding(before, old)


def starts(length: int, window: int, step: int) -> list[int]:
    """First voxels of windows that cover an axis; the last one ends with the axis."""
    if length <= window:
        return [0]
    positions = list(range(0, length - window, step))
    return [*positions, length - window]


def offset_of(start: Shape, window: Shape, padding: Padding) -> Tensor:
    """(3,): centre of a window of the padded volume minus the centre of the volume, voxels."""
    sides = zip(start, window, padding.before, padding.shape, strict=True)
    return torch.tensor([s + w / 2 - b - n / 2 for s, w, b, n in sides], dtype=torch.float32)


def shift_of(box: Sequence[slice], shape: Shape) -> Tensor:
    """(3,): centre of a box of a volume minus the centre of the volume, voxels."""
    sides = zip(box, shape, strict=True)
    return torch.tensor([s.start + (s.stop - s.start) / 2 - n / 2 for s, n in sides], dtype=torch.float32)


def region_of(masks: Tensor, margin: int, least: Shape) -> tuple[slice, slice, slice]:
    """The box around all foreground, widened.

    Args:
        masks: (K, D, H, W).
        margin: voxels added on every side where the volume allows.
        least: sides that the box has at least, where the volume allows.
    """
    occupied = (masks > 0).any(0).numpy(force=True)
    box, sides = box_around(occupied) or ((0, 0),) * 3, []
    for (first, last), length, wanted in zip(box, occupied.shape, least, strict=True):
        first, last = first - margin, last + margin
        short = wanted - (last - first)
        if short > 0:
            first, last = first - short // 2, last + short - short // 2
        first = max(0, min(first, length - min(length, last - first)))
        sides.append(slice(first, min(length, max(last, first + min(length, wanted)))))
    return triple(sides)


def blended(
    volume: Tensor,
    window: Shape,
    overlap: float,
    decode: Callable[[Tensor, Shape], Tensor],
    progress: Progress | None = None,
) -> Tensor:
    """Maps decoded in overlapping windows, blended by Gaussian weights.

    Args:
        volume: (1, D, H, W), no smaller than a window.
        window: sides of a window.
        overlap: share of a window that the next one covers again.
        decode: gives (1, K, D, H, W) of a window (1, D, H, W) and its first voxel.
        progress: called with (windows done, windows in all).

    Returns:
        (K, D, H, W) on the CPU.
    """
    from monai.inferers import sliding_window_inference  # seconds to import, so only where it is needed

    steps = [max(1, int(w * (1 - overlap))) for w in window]  # as the sliding window takes them
    total = prod(len(starts(*side)) for side in zip(volume.shape[1:], window, steps, strict=True))
    done = 0

    def predict(parts: Tensor, slices: Sequence[Sequence[slice]]) -> Tensor:
        nonlocal done
        decoded = []
        for part, sides in zip(parts, slices, strict=True):
            decoded.append(decode(part, triple(side.start for side in sides[-3:])))
            done += 1
            if progress is not None:
                progress(min(done, total), total)
        return torch.cat(decoded)

    maps = sliding_window_inference(
        volume[None], window, 1, predict, overlap, mode="gaussian", with_coord=True,
        device=torch.device("cpu"),
    )  # fmt: skip
    return maps[0].float()
