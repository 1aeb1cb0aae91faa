"""Explicit foreground and background similarity at every level of the matching pyramid (extension).

docs/decisions/0005. A voxel of the query is compared with the mean foreground and the mean background
feature of the reference; the background is weighted towards the surroundings of the object.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.layers import box_mean, upsample_many
from iris_core.model.mask_decoder import class_logits

LEAST_KNOWN = 1e-3  # weight of unknown background, which counts alone where nothing else is known (ours)
FAR_BACKGROUND = 0.05  # weight of background far from the object, against 1 beside it (ours)


def surroundings(mask: Tensor) -> Tensor:
    """Weight of each cell as background, in [0, 1], of masks (B, K, d, h, w) in [0, 1]."""
    near = (box_mean(mask, 5) * 125).clamp(max=1)  # a dilation by two cells
    return (1 - mask) * (FAR_BACKGROUND + (1 - FAR_BACKGROUND) * near)


def prototypes(pyramid: tuple[Tensor, ...], masks: Tensor, unknown: Tensor | None = None) -> Tensor:
    """Unit foreground and background vectors per class and level.

    Args:
        pyramid: matching features at strides 2, 4, 8, 16.
        masks: (B, K, D/2, H/2, W/2).
        unknown: the same shape, share of each cell that is neither class nor background; None: nothing is.

    Returns:
        (B, K, L, 2, F); the finest level is padded with zeros to F.
    """
    width = pyramid[1].shape[1]
    levels, mask = [], masks
    for features in pyramid:
        while mask.shape[2] > features.shape[2]:
            mask = F.avg_pool3d(mask, 2)
            unknown = None if unknown is None else F.avg_pool3d(unknown, 2)
        around = surroundings(mask)
        if unknown is not None:
            around = around * (1 - unknown).clamp_min(LEAST_KNOWN)
        weights = torch.stack([mask, around], dim=2).flatten(3)  # (B, K, 2, s)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-6)
        vectors = torch.einsum("bkts,bcs->bktc", weights, F.normalize(features.flatten(2), dim=1))
        vectors = F.normalize(vectors, dim=-1)
        levels.append(F.pad(vectors, (0, width - vectors.shape[-1])))
    return torch.stack(levels, dim=2)


def similarity_maps(
    pyramid: tuple[Tensor, ...],
    vectors: Tensor,
    size: tuple[int, int, int] | torch.Size,
    scale: Tensor,
    bias: Tensor,
) -> Tensor:
    """Logits per level: scale * (cosine to foreground - cosine to background) + bias.

    Args:
        pyramid: the query's matching features.
        vectors: (B, K, L, 2, F) from :func:`prototypes`.
        size: (d, h, w) of the maps returned, half the window.
        scale: (L,).
        bias: (L,).

    Returns:
        (B, K, L, d, h, w).
    """
    maps = []
    for level, features in enumerate(pyramid):
        difference = (vectors[:, :, level, 0] - vectors[:, :, level, 1]) * scale[level]  # (B, K, F)
        unit = F.normalize(features, dim=1)
        score = class_logits(unit, difference[..., : unit.shape[1]] * unit.shape[1] ** 0.5) + bias[level]
        maps.append(upsample_many(score, size))
    return torch.stack(maps, dim=2)
