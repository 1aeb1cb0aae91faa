"""One training step: episodes -> task embeddings -> logits -> loss. Paper: Algorithm 1, lines 10-15."""

from __future__ import annotations

import torch
from torch import Tensor

from iris_core.losses import evidence_loss, segmentation_loss, smoothness_loss
from iris_core.model.iris import Decoded, Iris
from iris_core.synthesis.episode_batch import EpisodeBatch

WITHOUT_MEMORY = 0.2  # share of steps in which the decoder has the tokens alone, as from a memory bank (ours)


def forward(model: Iris, batch: EpisodeBatch, masks: Tensor | None = None, *, memory: bool = True) -> Decoded:
    """Encodes the reference, decodes the query.

    Args:
        model: the network.
        batch: B episodes.
        masks: reference masks other than the batch's own, for controls.
        memory: False leaves the extensions' memory out.
    """
    masks = batch.reference_mask if masks is None else masks
    reference = model.encode_image(batch.reference_image)
    tokens = model.encode_tokens(reference, masks)
    stored = model.encode_memory(reference, masks, batch.reference_offset) if memory else None
    query = model.encode_image(batch.query_image)
    return model.decode(query, tokens, [stored] if stored is not None else [], None, batch.query_offset)


def loss_of(model: Iris, batch: EpisodeBatch, generator: torch.Generator) -> Tensor:
    """The loss of a batch."""
    alone = torch.rand((), generator=generator).item() < WITHOUT_MEMORY
    decoded = forward(model, batch, memory=not alone)
    loss = segmentation_loss(decoded.logits, batch.query_mask, batch.valid, batch.present)
    loss = loss + evidence_loss(decoded.evidence, batch.query_mask, batch.valid, batch.present)
    return loss + smoothness_loss(decoded.displacements).to(loss.device)
