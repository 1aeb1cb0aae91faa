"""Explicit foreground and background similarity at every level of the matching pyramid (extension).

docs/decisions/0005. A voxel of the query is compared with the mean foreground and the mean background
feature of the reference; the background is weighted towards the surroundings of the object.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.layers import upsample

FAR_BACKGROUND = 0.05  # weight of background far from the object, against 1 beside it (ours)


def surroundings(mask: Tensor) -> Tensor:
    """Background weight per cell. Args: mask (B, K, d, h, w) in [0, 1]. Returns: the same shape in [0, 1]."""
    near = F.max_pool3d(mask, 5, stride=1, padding=2)
    return (1 - mask) * (FAR_BACKGROUND + (1 - FAR_BACKGROUND) * near)


def prototypes(pyramid: tuple[Tensor, ...], masks: Tensor) -> Tensor:
    """Unit foreground and background vectors per class and level.

    Args:
        pyramid: matching features at strides 2, 4, 8, 16.
        masks: (B, K, D/2, H/2, W/2).

    Returns:
        (B, K, L, 2, F); the finest level is padded with zeros to F.
    """
    width = pyramid[1].shape[1]
    levels = []
    for features in pyramid:
        mask = F.adaptive_avg_pool3d(masks, features.shape[2:])
        weights = torch.stack([mask, surroundings(mask)], dim=2).flatten(3)  # (B, K, 2, s)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-6)
        vectors = torch.einsum("bkts,bcs->bktc", weights, F.normalize(features.flatten(2), dim=1))
        vectors = F.normalize(vectors, dim=-1)
        levels.append(F.pad(vectors, (0, width - vectors.shape[-1])))
    return torch.stack(levels, dim=2)


def similarity_maps(pyramid: tuple[Tensor, ...], vectors: Tensor, size: tuple[int, int, int]) -> Tensor:
    """Cosine to foreground minus cosine to background, per level.

    Args:
        pyramid: the query's matching features.
        vectors: (B, K, L, 2, F) from :func:`prototypes`.
        size: (d, h, w) of the maps returned, half the window.

    Returns:
        (B, K, L, d, h, w) in [-2, 2].
    """
    maps = []
    for level, features in enumerate(pyramid):
        difference = vectors[:, :, level, 0] - vectors[:, :, level, 1]  # (B, K, F)
        unit = F.normalize(features, dim=1)
        score = torch.einsum("bkc,bcs->bks", difference[..., : unit.shape[1]], unit.flatten(2))
        maps.append(upsample(score.unflatten(2, features.shape[2:]), size))
    return torch.stack(maps, dim=2)
