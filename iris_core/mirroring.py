"""A second look at everything in the mirror: reference and query along all three axes, the result turned back.

docs/decisions/0035. Both sides are mirrored alike, so left stays left of the same anatomy; only the network, which
was not made symmetric, sees something new.
"""

from __future__ import annotations

import torch
from torch import Tensor

FLOOR = 1e-4  # of a probability, so that its logit is finite


def mirrored(volume: Tensor) -> Tensor:
    """A volume (..., D, H, W) mirrored along its three axes."""
    return volume.flip(-3, -2, -1)


def averaged(one: Tensor, other: Tensor) -> Tensor:
    """Logits of the mean of two probabilities, class by class. Args: (K, D, H, W) each; the first is used up."""
    for mine, its in zip(one, other, strict=True):
        mean = torch.lerp(mine.sigmoid(), its.sigmoid(), 0.5)
        mine.copy_(torch.logit(mean.clamp_(FLOOR, 1 - FLOOR)))
    return one
