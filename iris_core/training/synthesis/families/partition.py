"""Partition: all of space split into smooth regions (SynthMorph, Hoffmann et al. 2022)."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.appearance.base_layer import (
    FIRST_REGION,
    BaseLayer,
    Ripple,
    draw_partition,
)
from iris_core.training.synthesis.draws import some_of

MOST_REGIONS = 40


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """6 to 40 regions of L/8 to L/2, half the time inside a body with a rim."""
    length = float(np.prod(shape)) ** (1 / 3)
    scale = length * 2.0 ** rng.uniform(-3, -1)
    regions = int(rng.integers(6, MOST_REGIONS + 1))
    partition = draw_partition(rng, shape, regions, scale)
    body = np.asarray(shape) * rng.uniform(0.4, 0.65, 3) if rng.random() < 0.5 else None
    base = _layer(rng, length, partition, body, waves=(0.4, 1.0), rough=(0.02, 0.1))
    return Anatomy("partition", base, droppable=some_of(rng, base.region_labels, min(6, regions // 2)))


def clutter(rng: np.random.Generator, shape: tuple[int, int, int], body: bool) -> BaseLayer:
    """A partition to stand behind objects: few regions, sometimes inside a body."""
    length = float(np.prod(shape)) ** (1 / 3)
    regions = int(rng.integers(2, 9))
    partition = draw_partition(rng, shape, regions, length * rng.uniform(0.2, 0.6))
    axes = np.asarray(shape) * rng.uniform(0.42, 0.6, 3) if body else None
    return _layer(rng, length, partition, axes, waves=(0.5, 1.0), rough=(0.01, 0.06))


def _layer(
    rng: np.random.Generator,
    length: float,
    partition: tuple[np.ndarray, Ripple],
    body: np.ndarray | None,
    waves: tuple[float, float],
    rough: tuple[float, float],
) -> BaseLayer:
    """A partition, in a body whose surface has waves of some length and depth, often with a rim."""
    scores, regions = partition
    rim = rng.uniform(2, 4) / length * 2 if rng.random() < 0.6 else 0.0
    surface = Ripple.draw(rng, length * rng.uniform(*waves))
    return BaseLayer(body, rim, surface, rng.uniform(*rough), scores, regions)


assert FIRST_REGION + MOST_REGIONS <= FIRST_OBJECT
