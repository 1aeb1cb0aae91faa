"""Fits a displacement to the edges of both images, voxel by voxel (extension).

docs/decisions/0034. The features that a displacement is found by see cells of 2 and 4 voxels; borders lie
finer. A few steps of Adam on how well edges agree, from where the features' fit ended, bring them together.
Only directions count, and not which side is brighter. No class takes part, so all classes share one fit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.descent import bending, descend
from iris_core.model.layers import upsample

FAINT = 0.1  # change per voxel, in standard deviations of the image, of an edge of half strength (ours)
RATE = 0.7  # of Adam, voxels a step (ours)
STIFFNESS = 0.05  # of the squared step between neighbouring cells, voxels (ours)
CELL = 2  # voxels, side of the cells that are moved (ours)
REACH = 2  # voxels to each side over which edges are compared (ours)
NOTHING = 1e-3  # mean squared strength of edges that tell nothing (ours)

Warp = Callable[[Tensor], Tensor]  # displacement (B, 3, D, H, W), voxels -> the reference's edges there


def edges_of(image: Tensor) -> Tensor:
    """Directions of the edges of an image, shorter than 1 where they are faint.

    Args:
        image: (B, 1, D, H, W), z-scored.

    Returns:
        (B, 3, D, H, W).
    """
    padded = F.pad(image.float(), [1] * 6, mode="replicate")
    slopes = []
    for axis, length in enumerate(image.shape[2:], start=2):
        inner = padded
        for other, size in enumerate(image.shape[2:], start=2):
            inner = inner if other == axis else inner.narrow(other, 1, size)
        slopes.append((inner.narrow(axis, 2, length) - inner.narrow(axis, 0, length)) / 2)
    slope = torch.cat(slopes, dim=1)
    return slope / (slope.square().sum(1, keepdim=True) + FAINT**2).sqrt()


def fit_edges(query: Tensor, warp: Warp, steps: int) -> Tensor:
    """The displacement by which a reference's edges come closest to the query's, smoothly.

    Args:
        query: (B, 3, D, H, W), even sides.
        warp: looks the reference's edges up at the places of the query's voxels, displaced.
        steps: of Adam.

    Returns:
        (B, 3, D, H, W), voxels, without a gradient.
    """
    with torch.autocast(query.device.type, enabled=False), torch.enable_grad():
        query = query.detach().float()
        size, strength = query.shape[2:], _strength(query)
        still = query.new_zeros(query.shape[0], 3, *(n // CELL for n in size))

        def loss(moved: Tensor, _: int) -> Tensor:
            agreed = _agreement(query, strength, warp(upsample(moved, size)))
            return STIFFNESS * bending(moved) - agreed.mean()

        return upsample(descend(still, loss, steps, RATE), size)


def agreement(query: Tensor, there: Tensor) -> Tensor:
    """How well edges (B, 3, D, H, W) agree around each voxel, in [0, 1]; 0 where either has none."""
    return _agreement(query, _strength(query), there)


def local_mean(values: Tensor, reach: int) -> Tensor:
    """Mean of what lies inside over a box of 2 * reach + 1 voxels a side around each: (B, C, D, H, W)."""
    for axis in range(3):
        sides = [2 * reach + 1 if a == axis else 1 for a in range(3)]
        around = [reach if a == axis else 0 for a in range(3)]
        values = F.avg_pool3d(values, sides, 1, around, count_include_pad=False)
    return values


def _strength(edges: Tensor) -> Tensor:
    return local_mean(edges.square().sum(1, keepdim=True), REACH) + NOTHING


def _agreement(query: Tensor, strength: Tensor, there: Tensor) -> Tensor:
    shared = local_mean((query * there).sum(1, keepdim=True), REACH)
    return shared**2 / (strength * _strength(there))
