"""One step of the long run: pairs of people, each the other's reference, encoded once."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.iris import Decoded, ImageFeatures, Iris
from iris_core.training.losses import evidence_loss, segmentation_loss, smoothness_loss
from iris_core.training.pretraining.long.contrast import contrast_loss, log_volumes, pooled
from iris_core.training.pretraining.long.nuisance import VolumeProbe
from iris_core.training.pretraining.long.recipe import Recipe
from iris_core.training.synthesis import EpisodeBatch, synthesise


def draw_batch(recipe: Recipe, step: int, device: str = "cpu") -> tuple[EpisodeBatch, bool]:
    """The episodes of a step, and whether its tokens answer alone; both follow from its number."""
    source = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    shares = torch.tensor([window.share for window in recipe.windows])
    window = recipe.windows[int(torch.multinomial(shares, 1, generator=source))]
    fewest, most = recipe.classes
    classes = int(torch.randint(fewest, most + 1, (), generator=source))
    alone = torch.rand((), generator=source).item() < recipe.without_memory
    batch = synthesise(
        window.pairs, classes, window.shape, source, device=device, progress=recipe.progress_at(step),
        both_ways=True, places_too=False,
    )  # fmt: skip
    return batch, alone


def moved_on(features: ImageFeatures, count: int) -> ImageFeatures:
    """Features of a batch whose images stand `count` places further back."""
    maps = tuple(m.roll(-count, 0) for m in features.maps)
    return ImageFeatures(maps, tuple(m.roll(-count, 0) for m in features.pyramid))


def losses_of(
    model: Iris, batch: EpisodeBatch, recipe: Recipe, probe: VolumeProbe, *, alone: bool
) -> dict[str, Tensor]:
    """The parts of a step's loss, weighted; their sum is what is minimised.

    Args:
        model: the network.
        batch: drawn both ways.
        recipe: weights of the parts.
        probe: of the volume; it learns from the step.
        alone: without the extensions' memory.
    """
    reference = model.encode_image(batch.reference_image, compare=not alone)
    query = moved_on(reference, len(batch.family) // 2)
    tokens = model.encode_tokens(reference, batch.reference_mask)
    memory = None if alone else model.encode_memory(reference, batch.reference_mask, batch.reference_offset)
    evidence = None if memory is None else model.compare(query, memory, batch.query_offset)
    decoded = model.decode(query, tokens, evidence)
    return _answers(decoded, batch, recipe) | _embeddings(tokens, batch, recipe, probe)


def _answers(decoded: Decoded, batch: EpisodeBatch, recipe: Recipe) -> dict[str, Tensor]:
    target, flags = batch.query_mask, (batch.valid, batch.present)
    parts = {"answer": segmentation_loss(decoded.logits, target, *flags)}
    if decoded.evidence:
        parts["evidence"] = evidence_loss(decoded.evidence, target, *flags)
        parts["smooth"] = smoothness_loss(decoded.displacements)
    coarse = target
    for logits in reversed(decoded.coarse) if recipe.deep else ():
        coarse = F.avg_pool3d(coarse, coarse.shape[2] // logits.shape[2])
        stride = target.shape[2] // logits.shape[2]
        parts[f"stride {stride}"] = recipe.deep * segmentation_loss(logits, coarse, *flags)
    return parts


def _embeddings(tokens: Tensor, batch: EpisodeBatch, recipe: Recipe, probe: VolumeProbe) -> dict[str, Tensor]:
    vectors, parts = pooled(tokens), {}
    with torch.autocast(vectors.device.type, enabled=False):
        if recipe.contrast:
            parts["contrast"] = recipe.contrast * contrast_loss(vectors, batch.reference_mask, batch.valid)
        if recipe.nuisance:
            volumes = log_volumes(batch.reference_mask)[batch.valid]
            parts["nuisance"] = recipe.nuisance * probe.loss(vectors[batch.valid], volumes)
    return parts
