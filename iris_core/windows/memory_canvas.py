"""The memories of overlapping windows of one reference, joined into one (docs/decisions/0013)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE, ReferenceMemory
from iris_core.windows.windows import Shape


class MemoryCanvas:
    """Joins the memories of overlapping windows into one memory of the whole region.

    Args:
        first: any of them.
        shape: of the region, voxels.
    """

    def __init__(self, first: ReferenceMemory, shape: Shape) -> None:
        cells = [n // FEATURE_STRIDE for n in shape]
        self.features = first.features.new_zeros(1, first.features.shape[1], *cells)
        self.fine = first.fine.new_zeros(1, first.fine.shape[1], *(n // MASK_STRIDE for n in shape))
        self.count = first.features.new_zeros(1, 1, *cells)
        self.masks = first.masks.new_zeros(1, first.masks.shape[1], *(n // MASK_STRIDE for n in shape))
        self.landmarks = first.landmarks.new_zeros(1, 1, *cells)
        self.prototypes = torch.zeros_like(first.prototypes)

    def add(self, memory: ReferenceMemory, start: Shape, share: Tensor) -> None:
        """Adds the memory of the window at `start`; prototypes count by the class's voxels in it."""
        here = self._cut(start, FEATURE_STRIDE, memory.features.shape[2:])
        self.features[here] += memory.features
        self.count[here] += 1
        self.landmarks[here] = memory.landmarks
        fine = self._cut(start, MASK_STRIDE, memory.masks.shape[2:])
        self.fine[fine] += memory.fine
        self.masks[fine] = memory.masks
        self.prototypes += memory.prototypes * share[None, :, None, None, None]

    def finish(self, offset: Tensor) -> ReferenceMemory:
        """The joined memory of the region at an offset (1, 3)."""
        count = self.count.clamp_min(1)
        fine = self.fine / F.interpolate(count, scale_factor=FEATURE_STRIDE // MASK_STRIDE, mode="nearest")
        vectors = F.normalize(self.prototypes, dim=-1)
        features, bias = self.features / count, self.masks.new_zeros(self.masks.shape[:2])
        return ReferenceMemory(features, fine, self.masks, vectors, self.landmarks, offset, bias)

    @staticmethod
    def _cut(start: Shape, stride: int, size: Sequence[int]) -> tuple[slice, ...]:
        sides = (slice(s // stride, s // stride + n) for s, n in zip(start, size, strict=True))
        return (slice(None), slice(None), *sides)
