"""Two ellipsoids in noise, bright and dark, as arrays of a study and its label."""

from __future__ import annotations

import numpy as np

from iris_core.volume.volume import LabelVolume, Volume


def solids(shape=(40, 44, 36), spacing=(1.0, 1.0, 1.0)) -> tuple[Volume, LabelVolume]:
    """A noisy image with two ellipsoids, bright and dark, and its whole label."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    label = np.zeros(shape, np.uint8)
    label[(((grid - (14, 15, 18)) / (9, 10, 12)) ** 2).sum(-1) < 1] = 1
    label[(((grid - (27, 30, 17)) / (10, 9, 11)) ** 2).sum(-1) < 1] = 3
    image = np.random.default_rng(0).normal(100, 8, shape) + 40.0 * (label == 1) - 40.0 * (label == 3)
    affine = np.diag([*spacing, 1.0])
    return Volume(image.astype(np.float32), affine), LabelVolume(label, affine, {1: "bright", 3: "dark"})
