"""A reference's masks carried over to the query voxel by voxel, and how far to trust them (extension).

docs/decisions/0034. They join what the decoder says at last: where edges agree, both count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

SHARE = 0.7  # of the carried masks where edges agree fully (ours)
SHARPNESS = 4.0  # of the choice between references by how well their edges agree (ours)
FLOOR = 1e-4  # of a probability, so that its logit is finite


@dataclass(frozen=True)
class Carried:
    """Masks of K classes on the query's window.

    Args:
        masks: (B, K, D, H, W) in [0, 1].
        trust: (B, 1 or K, D, H, W) in [0, 1], how well edges agree around each voxel; 0 where they were not
            compared.
    """

    masks: Tensor
    trust: Tensor


class CarriedMean:
    """The mean of several references; the one whose edges agree better at a place counts more there.

    One reference at a time, so that many fit into memory.
    """

    def __init__(self) -> None:
        self.masks = self.trust = self.norm = None

    def add(self, part: Carried, weight: Tensor) -> None:
        """Args: weight (B, K) or (1, 1), how much each class listens to this reference."""
        near = (SHARPNESS * part.trust).expm1()  # nothing where edges were not compared
        share = weight[..., None, None, None] * near  # so a class trusts the references that hold it alone
        if self.norm is None:
            self.masks, self.norm = torch.zeros_like(part.masks), torch.zeros_like(share)
            self.trust = torch.zeros_like(share)
        self.masks.addcmul_(share, part.masks)
        self.trust.addcmul_(share, part.trust)
        self.norm.add_(share)

    def result(self) -> Carried | None:
        """The mean of what was added; None where that is nothing."""
        if self.norm is None:
            return None
        norm = self.norm.clamp_min(1e-6)
        return Carried(self.masks.div_(norm), self.trust.div_(norm))


def fused(logits: Tensor, carried: Carried) -> Tensor:
    """Logits of the mean of both probabilities, weighted by trust.

    Args:
        logits: (B, K, D, H, W), of the decoder.
        carried: of the same window.
    """
    logits, share = logits.float(), SHARE * carried.trust
    mean = torch.lerp(logits.sigmoid(), carried.masks, share.expand_as(logits))
    return torch.where(share > 0, torch.logit(mean.clamp(FLOOR, 1 - FLOOR)), logits)
