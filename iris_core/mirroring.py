"""A second pass in the mirror: reference and query along all three axes, the result turned back.

docs/decisions/0035. Both sides are mirrored alike, so left stays left of the same anatomy; only the network,
which was not made symmetric, sees something new.
"""

from __future__ import annotations

import torch
from torch import Tensor

from iris_core.found import Found
from iris_core.metrics import dice
from iris_core.model.layers import bounded_logit
from iris_core.quality import expected_dice
from iris_core.view_fusion import share_of


def mirrored(volume: Tensor) -> Tensor:
    """A volume (..., D, H, W) mirrored along its three axes."""
    return volume.flip(-3, -2, -1)


def averaged(one: Tensor, other: Tensor) -> Found:
    """The mean of both passes' probabilities, and how well the passes agree.

    Each class is weighted by how good either pass seems (iris_core.view_fusion). One class at a time, so that
    many classes of a large volume fit into memory.

    Args:
        one: (K, D, H, W), logits of the first pass; used up.
        other: of the second, still mirrored.
    """
    agreement = []
    for mine, there in zip(one, other, strict=True):
        its = mirrored(there)
        agreement.append(dice((mine > 0).numpy(), (its > 0).numpy()))
        share = share_of(expected_dice(its), expected_dice(mine))
        mine.copy_(bounded_logit(torch.lerp(mine.sigmoid(), its.sigmoid(), share)))
    return Found(one, tuple(agreement))
