"""One training step: episodes -> task embeddings -> logits -> loss. Paper: Algorithm 1, lines 10-15."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.iris import Decoded, ImageFeatures, Iris
from iris_core.training.losses import (
    Landmarks,
    evidence_loss,
    matching_loss,
    segmentation_loss,
    smoothness_loss,
)
from iris_core.training.synthesis.episode_batch import EpisodeBatch

WITHOUT_MEMORY = 0.2  # share of steps in which the decoder has the tokens alone, as from a memory bank (ours)


LEVELS = (2, 4)  # strides of the levels whose cells are matched


def encode_pair(model: Iris, batch: EpisodeBatch) -> tuple[ImageFeatures, ImageFeatures]:
    """Features of references and queries."""
    return model.encode_image(batch.reference_image), model.encode_image(batch.query_image)


def answer(
    model: Iris,
    batch: EpisodeBatch,
    reference: ImageFeatures,
    query: ImageFeatures,
    masks: Tensor | None = None,
    *,
    memory: bool = True,
) -> Decoded:
    """Encodes the tasks, decodes the query.

    Args:
        model: the network.
        batch: B episodes.
        reference: from :func:`encode_pair`.
        query: from :func:`encode_pair`.
        masks: reference masks other than the batch's own, for controls.
        memory: False leaves the extensions' memory out.
    """
    masks = batch.reference_mask if masks is None else masks
    tokens = model.encode_tokens(reference, masks)
    stored = model.encode_memory(reference, masks, batch.reference_offset) if memory else None
    evidence = None if stored is None else model.compare(query, stored, batch.query_offset)
    return model.decode(query, tokens, evidence)


def loss_of(model: Iris, batch: EpisodeBatch, generator: torch.Generator, matching: float = 0.0) -> Tensor:
    """The loss of a batch.

    Args:
        model: the network.
        batch: B episodes.
        generator: decides whether the extensions' memory is left out, and draws cells.
        matching: weight of :func:`iris_core.training.losses.matching_loss`, each level.
    """
    alone = torch.rand((), generator=generator).item() < WITHOUT_MEMORY
    reference, query = encode_pair(model, batch)
    decoded = answer(model, batch, reference, query, memory=not alone)
    loss = segmentation_loss(decoded.logits, batch.query_mask, batch.valid, batch.present)
    loss = loss + evidence_loss(decoded.evidence, batch.query_mask, batch.valid, batch.present)
    loss = loss + smoothness_loss(decoded.displacements).to(loss.device)
    for level, stride in enumerate(LEVELS if matching and query.pyramid else ()):
        there = _landmarks(reference, level, stride, *batch.reference_places)
        here = _landmarks(query, level, stride, *batch.query_places)
        loss = loss + matching * matching_loss(here, there, generator)
    return loss


def _landmarks(features: ImageFeatures, level: int, stride: int, points: Tensor, kinds: Tensor) -> Landmarks:
    """Cells of one level; coarser ones count where all that they hold is of one label."""
    wider = stride // LEVELS[0]
    if wider > 1:
        points, values = F.avg_pool3d(points, wider), kinds[:, None].float()
        low, high = -F.max_pool3d(-values, wider)[:, 0], F.max_pool3d(values, wider)[:, 0]
        kinds = torch.where(low == high, high, torch.zeros_like(high))
    return Landmarks(features.pyramid[level], points, kinds.long(), stride)
