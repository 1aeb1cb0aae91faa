"""One step: pairs of people, each the other's reference, encoded once. Paper: Algorithm 1, lines 10-15."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.iris import Decoded, ImageFeatures, Iris
from iris_core.training.losses import evidence_loss, segmentation_loss, smoothness_loss
from iris_core.training.pretraining.contrast import contrast_loss, log_volumes
from iris_core.training.pretraining.nuisance import VolumeProbe
from iris_core.training.pretraining.recipe import Recipe
from iris_core.training.synthesis import EpisodeBatch, synthesise

RANK_SEED = 7_919  # apart from the seeds of other workers


def draw_batch(
    recipe: Recipe, step: int, difficulty: float = 1.0, device: str = "cpu", rank: int = 0
) -> tuple[EpisodeBatch, bool]:
    """The episodes of a step, and whether its tokens answer alone; all follow from its number.

    Args:
        recipe: what steps draw.
        step: its number.
        difficulty: of the tasks, 0 to 1.
        device: where the batch is made.
        rank: of the worker; all workers draw the same kind of step, each its own episodes.
    """
    seed = (recipe.seed * 1_000_003 + step) % 2**63
    source = torch.Generator().manual_seed(seed)
    shares = torch.tensor([window.share for window in recipe.windows])
    window = recipe.windows[int(torch.multinomial(shares, 1, generator=source))]
    fewest, most = recipe.classes
    classes = int(torch.randint(fewest, most + 1, (), generator=source))
    alone = torch.rand((), generator=source).item() < recipe.without_memory
    if rank:
        source.manual_seed((seed + rank * RANK_SEED * 1_000_003) % 2**63)
    families = None
    if recipe.families:
        drawn = torch.randint(len(recipe.families), (window.pairs,), generator=source)
        families = [recipe.families[index] for index in drawn.tolist()]
    batch = synthesise(
        window.pairs, classes, window.shape, source, device, difficulty, families, both_ways=True
    )
    return batch, alone


def moved_on(features: ImageFeatures, count: int) -> ImageFeatures:
    """Features of a batch whose images stand `count` places further back."""
    maps = tuple(m.roll(-count, 0) for m in features.maps)
    return ImageFeatures(maps, tuple(m.roll(-count, 0) for m in features.pyramid))


def answer(
    model: Iris,
    batch: EpisodeBatch,
    reference: ImageFeatures,
    query: ImageFeatures,
    masks: Tensor,
    *,
    alone: bool = False,
) -> tuple[Tensor, Decoded]:
    """Encodes the tasks of a batch and decodes its queries.

    Args:
        model: the network.
        batch: B episodes.
        reference: features of its references.
        query: features of its queries.
        masks: (B, K, D, H, W), the structures to segment, in the references.
        alone: without the extensions' memory.

    Returns:
        The tokens (B, K, m + 1, C), and what was decoded.
    """
    tokens = model.encode_tokens(reference, masks)
    memory = None if alone else model.encode_memory(reference, masks, batch.reference_offset)
    evidence = None if memory is None else model.compare(query, memory, batch.query_offset)
    return tokens, model.decode(query, tokens, evidence)


def losses_of(
    model: Iris, batch: EpisodeBatch, recipe: Recipe, probe: VolumeProbe, *, alone: bool
) -> dict[str, Tensor]:
    """The weighted parts of a step's loss on a batch drawn both ways; their sum is minimised.

    The probe learns from the step; `alone` leaves the extensions' memory out.
    """
    reference = model.encode_image(batch.reference_image, compare=not alone)
    query = moved_on(reference, len(batch.family) // 2)
    tokens, decoded = answer(model, batch, reference, query, batch.reference_mask, alone=alone)
    return _answers(decoded, batch, recipe) | _embeddings(tokens, batch, recipe, probe)


def _answers(decoded: Decoded, batch: EpisodeBatch, recipe: Recipe) -> dict[str, Tensor]:
    target, flags = batch.query_mask, (batch.valid, batch.present)
    parts = {"answer": segmentation_loss(decoded.logits, target, *flags)}
    if decoded.evidence.maps:
        parts["evidence"] = evidence_loss(decoded.evidence.maps, target, *flags)
        parts["smooth"] = smoothness_loss(decoded.evidence.displacements)
    coarse = target
    for logits in reversed(decoded.coarse) if recipe.deep else ():
        coarse = F.avg_pool3d(coarse, coarse.shape[2] // logits.shape[2])
        stride = target.shape[2] // logits.shape[2]
        parts[f"stride {stride}"] = recipe.deep * segmentation_loss(logits, coarse, *flags)
    return parts


def _embeddings(tokens: Tensor, batch: EpisodeBatch, recipe: Recipe, probe: VolumeProbe) -> dict[str, Tensor]:
    vectors, parts = tokens.float().mean(2), {}  # (B, K, C), which retrieval compares
    with torch.autocast(vectors.device.type, enabled=False):
        if recipe.contrast:
            parts["contrast"] = recipe.contrast * contrast_loss(vectors, batch.reference_mask, batch.valid)
        if recipe.nuisance:
            volumes = log_volumes(batch.reference_mask)[batch.valid]
            parts["nuisance"] = recipe.nuisance * probe.loss(vectors[batch.valid], volumes)
    return parts
