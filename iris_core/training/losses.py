"""Training losses: Dice plus cross-entropy per class, and supervision of the evidence maps.

Paper: 3.2.3, L_seg = L_dice + L_ce. Departs: a class that is absent from the query has no Dice term;
cross-entropy and the mean probability are its loss, so that an empty answer is right and cheap
(docs/decisions/0008).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTH = 1.0  # voxels, keeps the Dice of tiny classes finite
ABSENT_WEIGHT = 0.5  # of the mean probability of an absent class (ours)
EVIDENCE_WEIGHTS = {"similarity": 0.1, "propagated": 0.2, "warped": 0.5}  # per map (ours)
SMOOTHNESS = 0.02  # of the squared step between neighbours in a displacement field, cells of 4 voxels (ours)
EPSILON = 1e-4


def soft_dice(probability: Tensor, target: Tensor) -> Tensor:
    """1 - soft Dice of two volumes (B, K, D, H, W): (B, K)."""
    probability, target = probability.float().flatten(2), target.float().flatten(2)
    overlap = (probability * target).sum(-1)
    return 1 - (2 * overlap + SMOOTH) / (probability.sum(-1) + target.sum(-1) + SMOOTH)


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    return (values * where).sum() / where.sum().clamp_min(1)


def segmentation_loss(logits: Tensor, target: Tensor, valid: Tensor, present: Tensor) -> Tensor:
    """Dice + cross-entropy over the classes of an episode.

    Args:
        logits: (B, K, D, H, W).
        target: the same shape, 0 or 1.
        valid: (B, K) bool, the reference holds the class; others are ignored.
        present: (B, K) bool, the query holds the class.
    """
    logits = logits.float()
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(2).mean(-1)
    probability = logits.sigmoid()
    dice = soft_dice(probability, target)
    absent = probability.flatten(2).mean(-1) * ABSENT_WEIGHT
    return _mean_where(entropy, valid) + _mean_where(torch.where(present, dice, absent), valid)


def evidence_loss(evidence: dict[str, Tensor], target: Tensor, valid: Tensor, present: Tensor) -> Tensor:
    """Weighted losses of the evidence maps against the target at half resolution.

    Args:
        evidence: maps (B, K, E, d, h, w): "similarity" holds logits, "propagated" and "warped" probabilities.
        target: (B, K, D, H, W).
        valid: as in :func:`segmentation_loss`.
        present: as in :func:`segmentation_loss`.
    """
    total = target.new_zeros(())
    coarse = F.avg_pool3d(target, 2)
    for name in [name for name in EVIDENCE_WEIGHTS if name in evidence]:
        for one in evidence[name].float().unbind(2):
            if name == "similarity":
                error = F.binary_cross_entropy_with_logits(one, coarse, reduction="none").flatten(2).mean(-1)
            else:
                one = one.clamp(EPSILON, 1 - EPSILON)
                entropy = F.binary_cross_entropy(one, coarse, reduction="none").flatten(2).mean(-1)
                error = entropy + soft_dice(one, coarse) * present
            total = total + EVIDENCE_WEIGHTS[name] * _mean_where(error, valid)
    return total


def smoothness_loss(displacements: list[Tensor]) -> Tensor:
    """Mean squared step between neighbouring cells of fields (B, 3, d, h, w), weighted."""
    steps = [(field.float().diff(dim=axis) ** 2).mean() for field in displacements for axis in (2, 3, 4)]
    return SMOOTHNESS * sum(steps, torch.zeros_like(steps[0])) if steps else torch.zeros(())
