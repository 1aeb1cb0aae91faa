"""Fits a displacement to the edges of both images, voxel by voxel (extension).

docs/decisions/0034. The features that a displacement is found by see cells of 2 and 4 voxels; borders lie
finer. A few steps of Adam on how alike edges are, from where the features' fit ended, bring them together, in
a box around the labelled structures. Only directions count, and not which side is brighter. No class takes
part, so all classes share one fit.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.pair_fit.feature_fit import bending, descend
from iris_core.inference.pair_fit.transfer import CLASSES_AT_ONCE, Box, TransferredMasks
from iris_core.inference.stages import EdgeFitSettings
from iris_core.model.correspondence import Places, sample
from iris_core.model.layers import upsample
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE, ReferenceMemory
from iris_core.triple import triple
from iris_core.volume.boxes import box_around

FAINT = 0.1  # change per voxel, in standard deviations of the image, of an edge of half strength (ours)
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


def fitted_to_edges(
    edges: Tensor | None, offset: Tensor, memory: ReferenceMemory, places: Places, settings: EdgeFitSettings
) -> tuple[Places, TransferredMasks | None]:
    """Places after the fit, and the masks that they transfer; far from structures as before.

    Args:
        edges: (B, 3, D, H, W) of the query's window; None: they are not compared.
        offset: (B, 3) voxels, of the window.
        memory: of the reference; without edges of its own nothing is fitted.
        places: before.
        settings: of the stage.
    """
    if edges is None or memory.edges is None or not (settings.enabled and settings.edge_steps):
        return places, None
    position, whole = places.position, memory.features.shape[2:]
    shown = sample(memory.landmarks, position, memory.offset, whole) > settings.labelled_share
    box = _surroundings(shown, settings.cells_around)
    if box is None:
        return places, None
    cells = (..., *box)
    near: Box = triple(slice(MASK_STRIDE * side.start, MASK_STRIDE * side.stop) for side in box)
    drawn, outlines, aside = memory.outlined
    query = edges[(..., *near)]
    start = voxel_positions(edges.shape[2:], offset, near) + upsample(
        (position - places.own)[cells], query.shape[2:]
    )

    def look(values: Tensor, displacement: Tensor) -> Tensor:
        sides = [n / FEATURE_STRIDE for n in values.shape[2:]]
        return sample(values, start + displacement / FEATURE_STRIDE, memory.offset + aside, sides)

    displacement = fit_edges(query, lambda moved: look(drawn, moved), settings)
    alike = edge_similarity(query, look(drawn, displacement))
    trust = local_mean(alike, settings.trust_reach)
    trust = trust * look(torch.ones_like(drawn[:, :1]), displacement)  # where there are masks
    masks = query.new_empty(query.shape[0], outlines.shape[1], *query.shape[2:])
    for first in range(0, masks.shape[1], CLASSES_AT_ONCE):
        some = slice(first, first + CLASSES_AT_ONCE)
        masks[:, some] = look(outlines[:, some].to(edges.dtype), displacement)
    position = position.clone()
    position[cells] += F.avg_pool3d(displacement, MASK_STRIDE) / FEATURE_STRIDE
    return places._replace(position=position), TransferredMasks(masks, trust, near)


def fit_edges(query: Tensor, warp: Warp, settings: EdgeFitSettings) -> Tensor:
    """The displacement by which a reference's edges come closest to the query's, smoothly.

    Args:
        query: (B, 3, D, H, W), even sides.
        warp: looks the reference's edges up at the places of the query's voxels, displaced.
        settings: steps, rate and stiffness.

    Returns:
        (B, 3, D, H, W), voxels, without a gradient.
    """
    with torch.autocast(query.device.type, enabled=False), torch.enable_grad():
        query = query.detach().float()
        size, strength = query.shape[2:], _strength(query)
        still = query.new_zeros(query.shape[0], 3, *(n // CELL for n in size))

        def loss(moved: Tensor, _: int) -> Tensor:
            agreed = _similarity(query, strength, warp(upsample(moved, size)))
            return settings.edge_stiffness * bending(moved) - agreed.mean()

        return upsample(descend(still, loss, settings.edge_steps, settings.edge_rate), size)


def edge_similarity(query: Tensor, there: Tensor) -> Tensor:
    """How alike edges (B, 3, D, H, W) are around each voxel, in [0, 1]; 0 where either has none."""
    return _similarity(query, _strength(query), there)


def local_mean(values: Tensor, reach: int) -> Tensor:
    """Mean of what lies inside over a box of 2 * reach + 1 voxels a side around each: (B, C, D, H, W)."""
    for axis in range(3):
        sides = [2 * reach + 1 if a == axis else 1 for a in range(3)]
        around = [reach if a == axis else 0 for a in range(3)]
        values = F.avg_pool3d(values, sides, 1, around, count_include_pad=False)
    return values


def _strength(edges: Tensor) -> Tensor:
    return local_mean(edges.square().sum(1, keepdim=True), REACH) + NOTHING


def _similarity(query: Tensor, strength: Tensor, there: Tensor) -> Tensor:
    shared = local_mean((query * there).sum(1, keepdim=True), REACH)
    return shared**2 / (strength * _strength(there))


def _surroundings(shown: Tensor, margin: int) -> Box | None:
    """The box around what is shown, (B, 1, d, h, w) bool, with a margin."""
    box = box_around(shown.flatten(0, 1).any(0).numpy(force=True))
    if box is None:
        return None
    sides = zip(box, shown.shape[2:], strict=True)
    return triple(slice(max(0, a - margin), min(length, b + margin)) for (a, b), length in sides)


def voxel_positions(size: tuple[int, int, int] | torch.Size, offset: Tensor, box: Box) -> Tensor:
    """Centres of the voxels of a box of a window.

    Args:
        size: (D, H, W) of the window.
        offset: (B, 3), voxels.
        box: of the window.

    Returns:
        (B, 3, d, h, w), cells of 4 voxels.
    """
    axes = [
        torch.arange(side.start, side.stop, device=offset.device, dtype=offset.dtype) - (n - 1) / 2
        for n, side in zip(size, box, strict=True)
    ]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    return (grid[None] + offset[:, :, None, None, None]) / FEATURE_STRIDE
