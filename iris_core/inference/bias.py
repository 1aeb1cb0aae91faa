"""A bias for every class, chosen so that the reference is found best by its own embedding.

Stage 6, docs/decisions/0029. Input: logits of a reference by its own embedding, and its masks. Output: a bias
for each class, kept in the task and added to a query's logits. Cost: one pass for each reference.

A structure of few voxels is blurred on its way through the network, and none of it may reach a logit of 0.
The reference's own mask shows by how much. A reference by which the network finds nothing of a class,
whatever the bias, gives no bias for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from iris_core.inference.settings import DEFAULTS
from iris_core.inference.stages import BiasSettings


def class_biases(
    logits: Tensor,
    masks: Tensor,
    unknown: Tensor | None = None,
    settings: BiasSettings = DEFAULTS.bias,
) -> Tensor:
    """What to add to the logits of each class.

    Args:
        logits: (K, D, H, W), of the reference, by its own embedding.
        masks: (K, D, H, W) in [0, 1], its labels.
        unknown: (K, D, H, W) in [0, 1], where they are a guess, which counts for nothing; None: nowhere.
        settings: of the stage.

    Returns:
        (K,); 0 where no bias gains enough, and where the mask is nowhere above one half; infinity where
        no bias finds any of the mask without letting in far more than that.
    """
    tried = torch.tensor(settings.tried)
    found = torch.zeros(len(logits))
    for k, (one, mask) in enumerate(zip(logits, masks > 0.5, strict=True)):
        if unknown is not None:
            known = unknown[k] < 0.5
            one, mask = one[known], mask[known]
        size = mask.sum()
        if size == 0:
            continue
        # voxels above -bias, of all and of the mask, from counts between the thresholds
        above, inside = (_count(values, -tried) for values in (one.flatten(), one[mask]))
        allowed = (above <= settings.most_let_in * size) | (tried <= 0)  # a bias below 0 lets nothing in
        overlaps = torch.where(allowed, 2 * inside / (above + size), 0.0)
        if not bool(overlaps.any()):
            found[k] = torch.inf
            continue
        plain = overlaps[settings.tried.index(0.0)]
        scores = overlaps - settings.bias_caution * tried.abs()
        best = int(scores.argmax())
        if scores[best] - plain > settings.least_gain:
            found[k] = tried[best]
    return found


def _count(values: Tensor, thresholds: Tensor) -> Tensor:
    """How many values lie above each threshold; the thresholds descend."""
    rising = thresholds.flip(0)
    between = torch.bincount(torch.bucketize(values.float(), rising), minlength=len(rising) + 1)
    return between.flip(0).cumsum(0)[: len(rising)]
