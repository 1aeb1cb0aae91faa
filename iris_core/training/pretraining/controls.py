"""Control figures: does the network use the reference, or would it answer the same without it?"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.iris import Iris
from iris_core.training.pretraining.step import answer
from iris_core.training.synthesis import EpisodeBatch


def _dice(prediction: Tensor, target: Tensor) -> Tensor:
    """Dice of boolean masks (B, K, ...) -> (B, K)."""
    a, b = prediction.flatten(2).float(), target.flatten(2).float()
    return 2 * (a * b).sum(-1) / (a.sum(-1) + b.sum(-1)).clamp_min(1)


@torch.no_grad()
def control_figures(model: Iris, batches: Sequence[EpisodeBatch]) -> dict[str, float]:
    """Means over fixed episodes.

    Returns:
        own: Dice with the right reference; swapped: with another class's mask; rolled: with the mask moved by
        half the window; tokens: own, without the extensions' memory; copy: of the reference's mask itself;
        warped: of the displaced reference mask; absent: share of voxels given to classes that are not there.
    """
    sums: dict[str, list[Tensor]] = {}
    for batch in batches:
        reference, query = model.encode_image(batch.reference_image), model.encode_image(batch.query_image)
        truth, where, absent = batch.query_mask, batch.valid & batch.present, batch.valid & ~batch.present
        right = batch.reference_mask
        half = [n // 2 for n in truth.shape[2:]]
        for name, masks in {
            "own": right, "swapped": right.roll(1, dims=1), "rolled": right.roll(half, dims=(2, 3, 4)),
            "tokens": right,
        }.items():  # fmt: skip
            _, decoded = answer(model, batch, reference, query, masks, alone=name == "tokens")
            drawn = decoded.logits > 0
            sums.setdefault(name, []).append(_dice(drawn, truth)[where])
            if name == "own":
                sums.setdefault("absent", []).append(drawn.flatten(2).float().mean(-1)[absent])
                if "warped" in decoded.evidence.maps:
                    coarse = F.avg_pool3d(truth, 2) > 0.5
                    moved = decoded.evidence.maps["warped"][:, :, 0] > 0.5
                    sums.setdefault("warped", []).append(_dice(moved, coarse)[where])
        sums.setdefault("copy", []).append(_dice(right, truth)[where])
    return {name: round(torch.cat(v).mean().item(), 4) for name, v in sums.items() if torch.cat(v).numel()}
