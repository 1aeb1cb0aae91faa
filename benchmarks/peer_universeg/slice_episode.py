"""From volumes to slices: which reference slices a query slice meets, and synthetic episodes of slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from iris_core.training.synthesis import synthesise

# of the pairs, voxels
SHAPES = ((48, 48, 32), (32, 48, 48), (48, 32, 48), (48, 48, 48), (32, 32, 32), (64, 64, 64))
SPREAD = 0.08  # of the reference's length: half the stretch that its slices are taken from
JITTER = 0.05  # of the reference's length: how far training moves that stretch
SHOWING = 0.85  # share of query slices in training that show the class, where the query has it
CLASSES = 4  # tasks drawn on a pair
TRIES = 20


@dataclass(frozen=True)
class SliceEpisode:
    """B query slices, each with N reference slices of its task.

    Attributes:
        query: (B, 1, H, W) z-scored.
        images: (B, N, 1, H, W).
        masks: (B, N, 1, H, W) in [0, 1].
        truth: (B, H, W) in [0, 1].
    """

    query: Tensor
    images: Tensor
    masks: Tensor
    truth: Tensor


def positions(length: int, at: float, count: int, spread: float = SPREAD) -> list[int]:
    """Slices of a reference around a relative position.

    Args:
        length: slices that the reference has.
        at: relative position, 0 to 1: the middle of slice s of n is (s + 0.5) / n.
        count: slices wanted; the same slice may come twice where the stretch holds fewer.
        spread: half the stretch, as a share of the length.
    """
    steps = np.linspace(-spread, spread, count) if count > 1 else np.zeros(1)
    found = np.floor((at + steps) * length).astype(int)
    return np.clip(found, 0, length - 1).tolist()


def squared(slices: Tensor, side: int) -> Tensor:
    """(N, h, w) -> (N, 1, side, side), bilinear, edge to edge."""
    return functional.interpolate(slices[:, None], size=(side, side), mode="bilinear", align_corners=False)


def draw_episode(
    generator: torch.Generator, *, batch: int, references: int, side: int, progress: float = 1.0
) -> SliceEpisode:
    """Draws slices from one synthetic pair along one axis.

    Query slices meet `positions` around their own relative position, moved a little. A draw in which no
    reference slice shows the class is drawn again, since nothing is asked there.

    Args:
        generator: the only source of randomness.
        batch: B.
        references: N.
        side: H and W.
        progress: of the training, see `iris_core.training.synthesis.synthesise`.
    """

    def pick(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    found: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    while not found:
        shape = SHAPES[pick(len(SHAPES))]
        pair = synthesise(1, CLASSES, shape, generator, progress=progress)
        axis = pick(3)
        reference, query = (
            pair.reference_image[0, 0].movedim(axis, 0),
            pair.query_image[0, 0].movedim(axis, 0),
        )
        for _ in range(TRIES * batch):
            task = pick(CLASSES)
            mask = pair.reference_mask[0, task].movedim(axis, 0)
            truth = pair.query_mask[0, task].movedim(axis, 0)
            showing = truth.flatten(1).any(dim=1).nonzero()[:, 0]
            of_class = len(showing) > 0 and torch.rand((), generator=generator) < SHOWING
            number = int(showing[pick(len(showing))]) if of_class else pick(len(query))
            moved = JITTER * float(torch.randn((), generator=generator))
            chosen = positions(len(reference), (number + 0.5) / len(query) + moved, references)
            if mask[chosen].any():
                slices = (
                    query[number : number + 1],
                    reference[chosen],
                    mask[chosen],
                    truth[number : number + 1],
                )
                found.append(tuple(squared(one, side) for one in slices))
            if len(found) == batch:
                break
    query, images, masks, truth = (torch.stack(parts) for parts in zip(*found, strict=True))
    return SliceEpisode(query[:, 0], images, masks, truth[:, 0, 0])
