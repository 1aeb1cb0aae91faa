"""One step of the long run: pairs of people, each the other's reference, encoded once."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.losses import evidence_loss, segmentation_loss, smoothness_loss
from iris_core.model.iris import Decoded, ImageFeatures, Iris
from iris_core.pretraining.long.contrast import contrast_loss, log_volumes, pooled
from iris_core.pretraining.long.nuisance import VolumeProbe
from iris_core.pretraining.long.recipe import Recipe
from iris_core.synthesis import EpisodeBatch, synthesise


def draw_batch(recipe: Recipe, step: int, device: str = "cpu") -> tuple[EpisodeBatch, bool]:
    """The episodes of a step, and whether its tokens answer alone; both follow from its number."""
    source = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    shapes, shares = zip(*recipe.shapes, strict=True)
    shape = shapes[int(torch.multinomial(torch.tensor(shares), 1, generator=source))]
    fewest, most = recipe.classes
    classes = int(torch.randint(fewest, most + 1, (), generator=source))
    alone = torch.rand((), generator=source).item() < recipe.without_memory
    batch = synthesise(
        recipe.pairs, classes, shape, source, device=device, progress=recipe.progress_at(step), both_ways=True,
        places_too=False,
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
    memories = [] if memory is None else [memory]
    decoded = model.decode(query, tokens, memories, None, batch.query_offset)
    return _answers(decoded, batch, recipe) | _embeddings(tokens, batch, recipe, probe)


def _answers(decoded: Decoded, batch: EpisodeBatch, recipe: Recipe) -> dict[str, Tensor]:
    target, flags = batch.query_mask, (batch.valid, batch.present)
    parts = {"answer": segmentation_loss(decoded.logits, target, *flags)}
    if decoded.evidence:
        parts["evidence"] = evidence_loss(decoded.evidence, target, *flags)
        parts["smooth"] = smoothness_loss(decoded.displacements)
    coarse = target
    for logits in reversed(decoded.coarse):
        coarse = F.avg_pool3d(coarse, coarse.shape[2] // logits.shape[2])
        stride = target.shape[2] // logits.shape[2]
        if recipe.deep:
            parts[f"stride {stride}"] = recipe.deep * segmentation_loss(logits, coarse, *flags)
        if recipe.place:
            parts[f"place at {stride}"] = recipe.place * place_loss(logits, coarse, *flags)
    return parts


def place_loss(logits: Tensor, target: Tensor, valid: Tensor, present: Tensor) -> Tensor:
    """How far a softmax over all cells is from the structure's own cells; 1 where it knows nothing.

    A tiny structure counts as much as a large one, and the gradient does not vanish while nothing is found.
    It asks for the order of cells alone, so it leaves the level of the logits to the other losses.

    Args:
        logits: (B, K, d, h, w).
        target: the same shape, shares in [0, 1].
        valid, present: (B, K) bool; a class counts where both hold.
    """
    chance = logits.float().flatten(2).log_softmax(-1)
    wanted = target.flatten(2)
    total = wanted.sum(-1, keepdim=True)
    far = -(wanted / total.clamp_min(1e-6) * chance).sum(-1) / math.log(chance.shape[-1])
    counted = valid & present & (total[..., 0] > 0)
    return (far * counted).sum() / counted.sum().clamp_min(1)


def _embeddings(
    tokens: Tensor, batch: EpisodeBatch, recipe: Recipe, probe: VolumeProbe
) -> dict[str, Tensor]:
    vectors, parts = pooled(tokens), {}
    with torch.autocast(vectors.device.type, enabled=False):
        if recipe.contrast:
            parts["contrast"] = recipe.contrast * contrast_loss(vectors, batch.reference_mask, batch.valid)
        if recipe.nuisance:
            volumes = log_volumes(batch.reference_mask)[batch.valid]
            parts["nuisance"] = recipe.nuisance * probe.loss(vectors[batch.valid], volumes)
    return parts
