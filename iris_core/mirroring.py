"""A second pass in the mirror: reference and query along all three axes, the result turned back.

docs/decisions/0035. Both sides are mirrored alike, so left stays left of the same anatomy; only the network,
which was not made symmetric, sees something new.
"""

from __future__ import annotations

import torch
from torch import Tensor

from iris_core.quality import expected_dice
from iris_core.view_fusion import share_of

FLOOR = 1e-4  # of a probability, so that its logit is finite


def mirrored(volume: Tensor) -> Tensor:
    """A volume (..., D, H, W) mirrored along its three axes."""
    return volume.flip(-3, -2, -1)


def agreement_of(one: Tensor, other: Tensor) -> tuple[float, ...]:
    """Dice of what two passes found of each class; 0 where either found nothing. Args: (K, D, H, W) each."""
    found = ((mine > 0, its > 0) for mine, its in zip(one, other, strict=True))
    return tuple(2 * int((a & b).sum()) / max(1, int(a.sum() + b.sum())) for a, b in found)


def averaged(one: Tensor, other: Tensor) -> Tensor:
    """Logits of the mean of two probabilities, each class weighted by how good either seems (view_fusion).

    Args:
        one: (K, D, H, W), logits of one pass; used up.
        other: those of the other.
    """
    for mine, its in zip(one, other, strict=True):
        share = share_of(expected_dice(its), expected_dice(mine))
        mean = torch.lerp(mine.sigmoid(), its.sigmoid(), share)
        mine.copy_(torch.logit(mean.clamp_(FLOOR, 1 - FLOOR)))
    return one
