"""Peers: bodies of one volume and tubes of one width, so that size says nothing of which is which."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import any_rotation, log_uniform, some_of
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """5 to 16 bodies of equal volume in any shape, half of them as bright as another one."""
    length = float(np.prod(shape)) ** (1 / 3)
    half = np.asarray(shape) * 0.5
    size = max(2.2, length * log_uniform(rng, 0.06, 0.2))
    count = int(rng.integers(5, 17))
    objects = []
    for i in range(count):
        form = np.exp(rng.normal(0, 0.5, 3))
        radii = np.maximum(size * form / np.prod(form) ** (1 / 3), 1.3)
        bend = tuple(rng.normal(0, 0.3, 3) * radii[0])
        centre = rng.uniform(-0.85, 0.85, 3) * half
        objects.append(
            Primitive(FIRST_OBJECT + i, centre, radii, any_rotation(rng), rng.uniform(0, 0.9), bend,
                      taper=rng.uniform(-0.6, 0.6))
        )  # fmt: skip
    labels = [o.label for o in objects]
    order = [int(v) for v in rng.permutation(labels)]
    alike = [order[i : i + 2] for i in range(0, count // 2, 2)]
    drop = some_of(rng, labels, max(2, count // 4))
    base = clutter(rng, shape, body=rng.random() < 0.6)
    return Anatomy("peers", base, objects, [], drop, favoured=labels, alike=alike)
