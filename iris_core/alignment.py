"""Where a query's field of view lies relative to a reference's: one shift, found by comparing features.

A task's sense of place is measured from the centre of the field of view. A query that is cropped or centred
elsewhere would mislead it, so the shift with the best mean cosine of features is looked for first. All shifts
on the grid of cells are scored at once by Fourier transforms (docs/decisions/0020).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.embedding import TaskEmbedding
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory

LEAST_OVERLAP = 0.4  # of the smaller field of view that a shift leaves (ours)
MARGIN = 0.02  # of mean cosine by which a shift must beat none (ours)
CHANCE = (
    4.0  # times 1 / sqrt(numbers compared), what the best of many shifts of unrelated maps may reach (ours)
)


def aligned(embedding: TaskEmbedding, features: Tensor, offset: Tensor) -> TaskEmbedding:
    """The embedding with every memory moved to where the query has the same places.

    Args:
        embedding: of K classes.
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
    """
    memories = tuple(
        replace(memory, offset=memory.offset - field_shift(features, offset, memory)[None])
        for memory in embedding.memories
    )
    return replace(embedding, memories=memories)


def field_shift(features: Tensor, offset: Tensor, memory: ReferenceMemory) -> Tensor:
    """The shift that brings a query's places to the reference's.

    Args:
        features: (F, d, h, w), the query's matching features at stride 4.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
        memory: of the reference, batch of 1.

    Returns:
        (3,) voxels to add to the offsets of the query's windows; zeros where no shift is clearly better.
    """
    query, reference = _unit(features), _unit(memory.features[0])
    sizes = [a + b - 1 for a, b in zip(query.shape[1:], reference.shape[1:], strict=True)]

    def spectrum(maps: Tensor) -> Tensor:
        return torch.fft.rfftn(maps, s=sizes, dim=(1, 2, 3))

    ones = [torch.ones_like(m[:1]) for m in (query, reference)]
    total = torch.fft.irfftn((spectrum(reference) * spectrum(query).conj()).sum(0), s=sizes)
    count = torch.fft.irfftn((spectrum(ones[1]) * spectrum(ones[0]).conj())[0], s=sizes)
    least = LEAST_OVERLAP * min(ones[0].numel(), ones[1].numel())
    score = torch.where(count >= least, total / count.clamp_min(1), -torch.inf)

    # entry t: query cell x lies on reference cell x + t; measured from the centres, in voxels
    moves = []
    for length, a, b in zip(sizes, query.shape[1:], reference.shape[1:], strict=True):
        index = torch.arange(length, device=score.device)
        index = torch.where(index < b, index, index - length)
        moves.append((index + (a - b) / 2) * FEATURE_STRIDE)
    grid = torch.stack(torch.meshgrid(*moves, indexing="ij"), dim=-1) + memory.offset[0] - offset
    still = score.flatten()[int(grid.norm(dim=-1).argmin())]
    best = int(score.argmax())
    numbers = count.flatten()[best] * query.shape[0]
    if score.flatten()[best] < still + MARGIN + CHANCE * numbers**-0.5:
        return torch.zeros_like(offset)
    return grid.reshape(-1, 3)[best]


def _unit(features: Tensor) -> Tensor:
    """Unit vectors after the mean over the volume is taken away."""
    return F.normalize(features - features.mean((1, 2, 3), keepdim=True), dim=0)
