"""nnU-Net's augmentations (batchgeneratorsv2) with the paper's ranges, without mirroring.

Paper: supplement 7, data augmentation. The translation is the random place of the window. Mirroring is left
out: a reference and a query that disagree on left and right ask for the wrong side (docs/decisions/0030).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.brightness import (
    BrightnessAdditiveTransform,
    MultiplicativeBrightnessTransform,
)
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

from nnunet_trainers.episodes.case_window import OUTSIDE, CaseWindow, middle

ROTATION = (-np.deg2rad(10), np.deg2rad(10))
SCALING = (0.9, 1.1)
MULTIPLIER, CONTRAST, GAMMA = (0.9, 1.1), (0.8, 1.2), (0.8, 1.2)
SHIFT, BLUR, NOISE = 0.1, (0.7, 1.3), (0.0, 0.02)
PROBABILITY = 0.5  # of the spatial transform, and of each intensity transform but the blur (ours)
BLUR_PROBABILITY = 0.2  # (ours)
KEPT = 0.7  # share of the leading class's voxels that a reference keeps (ours)


def wide_window(window: Sequence[int]) -> tuple[int, ...]:
    """Sides to cut, so that a rotated and scaled window of the sides given has no empty corner.

    They differ from the sides given by even numbers: the centre stays.
    """
    wide = (max(int(w), n) for w, n in zip(_turned(window), window, strict=True))
    return tuple(w + (w - n) % 2 for w, n in zip(wide, window, strict=True))


class Augmentation:
    """Spatial and intensity augmentation of a wide window, down to the window.

    Args:
        window: sides of what comes out.
    """

    def __init__(self, window: Sequence[int]) -> None:
        self.window = tuple(window)
        self.spatial = SpatialTransform(
            self.window,
            patch_center_dist_from_border=0,
            random_crop=False,
            p_rotation=PROBABILITY,
            rotation=ROTATION,
            p_scaling=PROBABILITY,
            scaling=SCALING,
            p_synchronize_scaling_across_axes=1,
            border_mode_seg="constant",
            padding_value_seg=OUTSIDE,
        )
        one = {"synchronize_channels": True, "p_per_channel": 1}
        self.intensity = ComposeTransforms(
            [
                _sometimes(MultiplicativeBrightnessTransform(MULTIPLIER, **one)),
                _sometimes(BrightnessAdditiveTransform(0, SHIFT, **one)),
                _sometimes(ContrastTransform(CONTRAST, preserve_range=True, **one)),
                _sometimes(GammaTransform(GAMMA, p_invert_image=0, p_retain_stats=1, **one)),
                _sometimes(GaussianBlurTransform(BLUR, True, True, 1), BLUR_PROBABILITY),
                _sometimes(GaussianNoiseTransform(NOISE, 1, True)),
            ]
        )

    def __call__(self, wide: CaseWindow, seed: int, keep: int | None = None) -> CaseWindow:
        """The augmented window; the same one for the same seed.

        Args:
            wide: a window of `wide_window` sides.
            seed: of every choice.
            keep: value of a class of which the spatial part must not lose much, as in a reference; where it
                would, it is left out.
        """
        plain = middle(wide, self.window)
        with seeded(seed):
            turned = self.spatial(image=wide.image.clone(), segmentation=wide.labels)
            labels = turned["segmentation"]
            image = turned["image"]
            if keep is not None and (labels == keep).sum() < KEPT * (plain.labels == keep).sum():
                image, labels = plain.image.clone(), plain.labels
            return CaseWindow(self.intensity(image=image)["image"], labels, wide.offset)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds NumPy's and torch's global generators, which the transforms draw from, and puts them back."""
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)


def _turned(window: Sequence[int]) -> Sequence[int]:
    return get_patch_size(list(map(float, window)), ROTATION, ROTATION, ROTATION, SCALING)


def _sometimes(transform: BasicTransform, probability: float = PROBABILITY) -> RandomTransform:
    return RandomTransform(transform, apply_probability=probability)
