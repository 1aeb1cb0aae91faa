"""Two maps of one class made one: from the whole study and from a close-up.

Stage 10, docs/decisions/0027. Input: both maps. Output: one, on the grid of the close-up. Cost: little.

Each counts by the odds of its expected Dice over the volume of its voxels, squared. Where one of them is
clearly better it decides; where both are as good, their mean does.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.settings import DEFAULTS
from iris_core.inference.stages import FusionSettings
from iris_core.preprocessing.grid import ClassMap, Grid
from iris_core.quality import expected_dice

LEAST, MOST = 0.005, 0.995  # expected Dice whose odds are finite


def fused(whole: ClassMap, look: ClassMap, settings: FusionSettings = DEFAULTS.fusion) -> ClassMap:
    """The weighted mean of two maps of one class, on the grid of the look.

    What the whole study found outside the look's box is left out.

    Args:
        whole: from the whole study.
        look: from a box of it.
        settings: of the stage; off: the close-up alone counts.
    """
    if not settings.enabled:
        return look
    near, far = expected_of(look), expected_of(whole)
    finer = shown_voxel(whole.grid) / shown_voxel(look.grid)
    share = share_of(near, far, finer, settings) if near > 0 else 0.0
    before = resampled(whole.logits, whole.grid, look.grid)
    surest = settings.surest_logit
    logits = (1 - share) * before.clamp(-surest, surest) + share * look.logits.clamp(-surest, surest)
    expected = round(share * near + (1 - share) * far, 4) if bool((logits > 0).any()) else 0.0
    return replace(look, logits=logits, expected=expected)


def share_of(
    expected: float, other: float, finer: float = 1.0, settings: FusionSettings = DEFAULTS.fusion
) -> float:
    """The share that a view has beside another, in [0, 1].

    Args:
        expected: its expected Dice.
        other: that of the other view.
        finer: the volume of the other's voxel over that of its own.
        settings: how sharply they are told apart.
    """
    try:
        ahead = (finer * _odds(expected) / _odds(other)) ** settings.odds_sharpness
    except OverflowError:  # so far ahead that the other has no share
        return 1.0
    return ahead / (ahead + 1)


def shown_voxel(grid: Grid) -> float:
    """Volume of what a voxel shows, in voxels of the file: at least one, however fine the grid is."""
    sizes = zip(grid.crop_shape, grid.shape, strict=True)
    return prod(max(1.0, native / working) for native, working in sizes)


def resampled(logits: Tensor, source: Grid, target: Grid) -> Tensor:
    """A map on another working grid of the same file, trilinear; beyond its own crop as at the border.

    Args:
        logits: (D, H, W) on the source's grid.
        source: where they lie.
        target: where they are wanted.

    Returns:
        (D', H', W').
    """
    theta = torch.zeros(1, 3, 4)
    for axis, ((start, stop), (first, last)) in enumerate(zip(target.crop, source.crop, strict=True)):
        row = 2 - axis  # a sampling grid has the last axis first
        theta[0, row, row] = (stop - start) / (last - first)
        theta[0, row, 3] = (start + stop - first - last) / (last - first)
    places = F.affine_grid(theta, [1, 1, *target.shape], align_corners=False)
    maps = logits[None, None].float()
    return F.grid_sample(maps, places, mode="bilinear", padding_mode="border", align_corners=False)[0, 0]


def expected_of(view: ClassMap) -> float:
    """The Dice to expect of a map: what is known of it, else what its own voxels say."""
    return expected_dice(view.logits) if view.expected is None else view.expected


def _odds(expected: float) -> float:
    kept = min(max(expected, LEAST), MOST)
    return kept / (1 - kept)
