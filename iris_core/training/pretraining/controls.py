"""Control figures: does the network use the reference, or would it answer the same without it?"""

from __future__ import annotations

import torch
from torch import Tensor

from iris_core.model.iris import Iris
from iris_core.training.pretraining.step import answer, encode_pair
from iris_core.training.synthesis.episode_batch import EpisodeBatch


def _dice(prediction: Tensor, target: Tensor) -> Tensor:
    """Dice of boolean masks (B, K, ...) -> (B, K)."""
    a, b = prediction.flatten(2).float(), target.flatten(2).float()
    return 2 * (a * b).sum(-1) / (a.sum(-1) + b.sum(-1)).clamp_min(1)


@torch.no_grad()
def control_figures(model: Iris, batches: list[EpisodeBatch]) -> dict[str, float]:
    """Means over fixed episodes.

    Returns:
        own: Dice with the right reference; swapped: with another class's mask; rolled: with the mask moved by
        half the window; tokens: own, without the extensions' memory; copy: of the reference's mask itself;
        warped: of the displaced reference mask; absent: share of voxels given to classes that are not there.
    """
    sums: dict[str, list[Tensor]] = {}
    for batch in batches:
        shift = [n // 2 for n in batch.query_mask.shape[2:]]
        masks = {
            "own": batch.reference_mask,
            "swapped": batch.reference_mask.roll(1, dims=1),
            "rolled": batch.reference_mask.roll(shift, dims=(2, 3, 4)),
        }
        where = batch.valid & batch.present
        reference, query = encode_pair(model, batch)
        for name, mask in masks.items():
            decoded = answer(model, batch, reference, query, mask)
            found = decoded.logits > 0
            sums.setdefault(name, []).append(_dice(found, batch.query_mask)[where])
            if name == "own":
                absent = batch.valid & ~batch.present
                sums.setdefault("absent", []).append(found.flatten(2).float().mean(-1)[absent])
                if "warped" in decoded.evidence:
                    coarse = torch.nn.functional.avg_pool3d(batch.query_mask, 2) > 0.5
                    moved = decoded.evidence["warped"][:, :, 0] > 0.5
                    sums.setdefault("warped", []).append(_dice(moved, coarse)[where])
        alone = answer(model, batch, reference, query, memory=False).logits > 0
        sums.setdefault("tokens", []).append(_dice(alone, batch.query_mask)[where])
        sums.setdefault("copy", []).append(_dice(batch.reference_mask, batch.query_mask)[where])
    return {name: round(torch.cat(v).mean().item(), 4) for name, v in sums.items() if torch.cat(v).numel()}
