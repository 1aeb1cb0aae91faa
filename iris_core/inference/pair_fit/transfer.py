"""A reference's masks transferred to the query voxel by voxel, and how far to trust them.

docs/decisions/0034. They join the decoder's logits at last: where edges are alike, both count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from iris_core.inference.stages import EdgeFitSettings
from iris_core.model.layers import bounded_logit
from iris_core.triple import triple

CLASSES_AT_ONCE = 4  # joined together, so that many classes fit into memory

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class TransferredMasks:
    """Masks of K classes in a box of the query's window; beyond it nothing was compared.

    Args:
        masks: (B, K, d, h, w) in [0, 1].
        trust: (B, 1 or K, d, h, w) in [0, 1], how well edges agree around each voxel; 0 where they were not
            compared.
        box: where they lie in the window.
    """

    masks: Tensor
    trust: Tensor
    box: Box


class TransferredMean:
    """The mean of several references; the one whose edges agree better at a place counts more there.

    One reference at a time, so that many fit into memory.
    """

    def __init__(self, settings: EdgeFitSettings) -> None:
        self.sharpness = settings.choice_sharpness
        self.box: Box = (slice(0, 0),) * 3
        self.sums: list[Tensor] = []  # of masks, trust and shares, in that box

    def add(self, part: TransferredMasks, weight: Tensor) -> None:
        """Adds the masks that one reference gives.

        Args:
            part: of the reference.
            weight: (B, K) or (1, 1), how much each class listens to this reference.
        """
        near = (self.sharpness * part.trust).expm1()  # nothing where edges were not compared
        share = weight[..., None, None, None] * near  # so a class trusts the references that hold it alone
        self._reach(part.box, [part.masks, share, share])
        masks, trust, norm = (total[_within(part.box, self.box)] for total in self.sums)
        masks.addcmul_(share, part.masks)
        trust.addcmul_(share, part.trust)
        norm.add_(share)

    def _reach(self, box: Box, parts: list[Tensor]) -> None:
        """Makes room for parts of the sums that lie in a box."""
        wanted = _around(self.box, box) if self.sums else box
        if wanted == self.box:
            return
        size = [side.stop - side.start for side in wanted]
        rooms = [part.new_zeros(*part.shape[:2], *size) for part in parts]
        for room, held in zip(rooms, self.sums, strict=False):  # none at first
            room[_within(self.box, wanted)] = held
        self.box, self.sums = wanted, rooms

    def result(self) -> TransferredMasks | None:
        """The mean of what was added, which is used up; None where that is nothing."""
        if not self.sums:
            return None
        masks, trust, norm = self.sums
        norm.clamp_min_(1e-6)
        return TransferredMasks(masks.div_(norm), trust.div_(norm), self.box)


def join(logits: Tensor, masks: TransferredMasks, most: float) -> None:
    """Makes logits those of the mean of both probabilities, weighted by trust, in place.

    Args:
        logits: (B, K, D, H, W), of the decoder, float32.
        masks: of the same window.
        most: share of the masks where edges are alike.
    """
    near = logits[(..., *masks.box)]
    for first in range(0, near.shape[1], CLASSES_AT_ONCE):
        some = (slice(None), slice(first, first + CLASSES_AT_ONCE))
        own = near[some]
        trust = masks.trust if masks.trust.shape[1] == 1 else masks.trust[some]
        share = most * trust.expand_as(own)
        mean = torch.lerp(own.sigmoid(), masks.masks[some], share)
        near[some] = torch.where(share > 0, bounded_logit(mean), own)


def _around(one: Box, other: Box) -> Box:
    """The least box around two."""
    sides = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
    return triple(sides)


def _within(inner: Box, outer: Box) -> tuple:
    """Where a box lies in a tensor that spans another."""
    sides = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True))
    return (..., *sides)
