"""The smallest networks and volumes that the laws of the model hold on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from iris_core.config import ModelConfig
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.model.build import build
from iris_core.model.iris import Iris
from iris_core.volume.volume import LabelVolume, Volume

SIDE = 32
SIZES = {
    "channels": (8, 8, 16, 16, 32),
    "encoder_blocks": (1, 1, 1, 1, 1),
    "context_tokens": 3,
    "attention_heads": 4,
    "decoder_layers": 1,
    "matching_channels": 8,
    "evidence_channels": 4,
}
FIT_ONCE = ("feature_fit.fit_steps=1", "edge_fit.edge_steps=1")  # both fits take part, for laws of any steps
QUICK = {"settings": DEFAULTS.changed(FIT_ONCE)}  # of a segmenter
PLAIN = ModelConfig(**SIZES)
EXTENDED = ModelConfig(**SIZES, similarity=True, correspondence=True, place=True)

PLAIN_LIMIT = 100_000  # bytes per class and reference that the plain embedding of a card may take


def without(*stages: str) -> dict[str, InferenceSettings]:
    """What a segmenter is given to leave stages out; the fits take one step."""
    return {"settings": DEFAULTS.changed(FIT_ONCE).without(*stages)}


def quick(*left_out: str) -> dict[str, object]:
    """Facts of a checkpoint that is segmented with quick fits, and without some stages."""
    return {"inference": without(*left_out)["settings"].to_dict()}


def network(config: ModelConfig = EXTENDED, seed: int = 0) -> Iris:
    """A network in evaluation mode."""
    return build(config, seed=seed).eval()


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def boxes(classes: int = 2, side: int = SIDE) -> Tensor:
    """(K, D, H, W): one box per class, all different."""
    masks = torch.zeros(classes, side, side, side)
    for k in range(classes):
        masks[k, 4 + 3 * k : 14 + 3 * k, 6 : 16 + 2 * k, 8 + 2 * k : 20] = 1
    return masks


def scene(seed: int = 0, shift: int = 0, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """A noisy image (1, D, H, W) in which two boxes stand out, and their masks (2, D, H, W)."""
    masks = boxes(2, side).roll((shift, shift), dims=(1, 2))
    masks[1] *= 1 - masks[0]
    image = 0.3 * noise(1, side, side, side, seed=seed) + 2.0 * masks[:1] - 2.0 * masks[1:]
    return image, masks


def study(
    seed: int = 0, shift: int = 0, shape: tuple[int, int, int] = (24, 26, 22)
) -> tuple[Volume, LabelVolume]:
    """An image and its label with the classes bright = 1 and dark = 4, at 2 mm."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    label[4 + shift : 13 + shift, 5:14, 6:15] = 1
    label[14:20, 12 + shift : 21 + shift, 4:12] = 4
    image = rng.normal(100, 8, shape) + 60.0 * (label == 1) - 60.0 * (label == 4)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    return Volume(image.astype(np.float32), affine), LabelVolume(label, affine, {1: "bright", 4: "dark"})
