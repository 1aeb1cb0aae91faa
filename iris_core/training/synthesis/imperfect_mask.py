"""Imperfect masks: what a hurried hand draws instead of the true mask."""

from __future__ import annotations

import numpy as np
import torch

from iris_core.training.synthesis.deformation import sample_at, smooth_noise, voxel_grid
from iris_core.triple import triple

LEAST = 12  # voxels that must be left


def imperfect(mask: torch.Tensor, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    """A mask (D, H, W) bool with one mistake: grown or shrunk by a voxel, warped, slices lost, or bitten.

    It stays as it is where the mistake would leave fewer than `LEAST` voxels.
    """
    mistake = int(rng.integers(5))
    if mistake < 2:
        wrong = grown(mask) if mistake == 0 else ~grown(~mask)
    elif mistake == 2:
        wrong = _warp(mask, rng, generator)
    else:
        wrong = (_lose_slices if mistake == 3 else _bite)(mask, rng)
    return wrong if int(wrong.sum()) >= LEAST else mask


def grown(mask: torch.Tensor) -> torch.Tensor:
    """The mask (D, H, W) and its six-neighbours."""
    result = mask.clone()
    for axis in range(3):
        n = mask.shape[axis]
        result.narrow(axis, 1, n - 1).logical_or_(mask.narrow(axis, 0, n - 1))
        result.narrow(axis, 0, n - 1).logical_or_(mask.narrow(axis, 1, n - 1))
    return result


def _warp(mask: torch.Tensor, rng: np.random.Generator, generator: torch.Generator) -> torch.Tensor:
    shape = triple(mask.shape)
    nodes = triple(max(3, n // 8) for n in shape)
    shift = smooth_noise([nodes], 3, shape, generator).permute(0, 2, 3, 4, 1) * rng.uniform(1, 2)
    points = voxel_grid(shape, mask.device) + shift
    return sample_at(mask.float()[None, None], points, "nearest")[0, 0] > 0.5


def _lose_slices(mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    axis = int(rng.integers(3))
    lost = torch.from_numpy(rng.random(mask.shape[axis]) < rng.uniform(0.1, 0.35)).to(mask.device)
    view = [1, 1, 1]
    view[axis] = -1
    return mask & ~lost.view(view)


def _bite(mask: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    places = mask.nonzero()
    if not len(places):
        return mask
    tooth = places[int(rng.integers(len(places)))]
    count = len(places) * rng.uniform(0.1, 0.2)
    gap = (places - tooth).float().square().sum(1)
    gone = places[gap <= torch.kthvalue(gap, max(1, int(count))).values]
    result = mask.clone()
    result[gone.unbind(1)] = False
    return result
