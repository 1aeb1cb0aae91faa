"""One structure's embeddings in two people belong together, against other structures of equal size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.03
LIKENESS = 0.5  # of log volumes, within which another structure counts fully
FARTHEST = 0.05  # of a structure of quite another size
SAME = 0.5  # overlap above which two tasks are nearly the same


def log_volumes(masks: Tensor) -> Tensor:
    """Logarithm of the voxels of each mask: (B, K, D, H, W) -> (B, K)."""
    return masks.flatten(2).sum(-1).clamp_min(1).log()


def contrast_loss(vectors: Tensor, masks: Tensor, known: Tensor) -> Tensor:
    """InfoNCE over all structures of a step, in both people of all pairs.

    Args:
        vectors: (2G, K, C): G references, then the same G pairs' other people.
        masks: (2G, K, D, H, W), from which they were encoded.
        known: (2G, K) bool, the mask is not empty.
    """
    both = known[: len(known) // 2] & known[len(known) // 2 :]
    where = torch.cat([both, both]).flatten()
    n = int(where.sum())
    if n < 4:
        return vectors.new_zeros(())
    unit = F.normalize(vectors.flatten(0, 1)[where], dim=-1)
    score = unit @ unit.T / TEMPERATURE
    volume = log_volumes(masks).flatten()[where]
    apart = (volume[:, None] - volume) / LIKENESS
    score = score + (FARTHEST + (1 - FARTHEST) * torch.exp(-(apart**2) / 2)).log()
    partner = torch.arange(n, device=score.device).roll(n // 2)
    score = score.masked_fill(_alike(masks, where), -torch.inf)
    right = (unit * unit[partner]).sum(-1) / TEMPERATURE
    mine = torch.zeros_like(score, dtype=torch.bool)
    mine[torch.arange(n, device=score.device), partner] = True
    score = torch.where(mine, right[:, None], score)
    return F.cross_entropy(score, partner)


def _alike(masks: Tensor, where: Tensor) -> Tensor:
    """(N, N) bool: itself, or nearly the same task of the same image; in either person."""
    flat = F.avg_pool3d(masks.float(), 2).flatten(2)
    shared = flat @ flat.transpose(1, 2)  # (2G, K, K)
    size = shared.diagonal(dim1=1, dim2=2)
    near = shared / (size[:, :, None] + size[:, None] - shared).clamp_min(1e-6) > SAME
    half = len(near) // 2
    near = near[:half] | near[half:]  # (G, K, K)
    block = torch.block_diag(*near.float()).bool()
    return block.repeat(2, 2)[where][:, where]
