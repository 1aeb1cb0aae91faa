"""Tubes: thin bent tubes through a clutter, some of them alike, as vessels, gullet and cord are."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import any_rotation, log_uniform, small_rotation
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """3 to 9 tubes of 1.2 to 3 voxels, most of them along one axis, between larger bodies."""
    length = float(np.prod(shape)) ** (1 / 3)
    half = np.asarray(shape) * 0.5
    axis = int(rng.integers(3))
    frame = np.eye(3)[[axis, (axis + 1) % 3, (axis + 2) % 3]]
    count, bodies = int(rng.integers(3, 10)), int(rng.integers(2, 8))
    objects = []
    for i in range(bodies):
        radii = length * log_uniform(rng, 0.08, 0.25) * np.exp(rng.normal(0, 0.3, 3))
        centre = rng.uniform(-0.9, 0.9, 3) * half
        label, boxy = FIRST_OBJECT + count + i, rng.uniform(0, 0.8)
        objects.append(Primitive(label, centre, radii, any_rotation(rng), boxy))
    for i in range(count):
        thin = log_uniform(rng, 1.2, 3.0)
        reach = half[axis] * rng.uniform(0.5, 1.5)
        radii = np.array([reach, thin, thin * rng.uniform(0.7, 1.3)])
        along = small_rotation(rng, 12, 40) @ frame if rng.random() < 0.75 else any_rotation(rng)
        bend = (*(rng.normal(0, 0.2, 2) * reach), 0.0)
        aside = rng.uniform(-0.6, 0.6, 2) * length / 2
        centre = frame.T @ np.array([rng.uniform(-0.3, 0.3) * half[axis], *aside])
        objects.append(
            Primitive(FIRST_OBJECT + i, centre, radii, along, rng.uniform(0.4, 1), bend,
                      swing=rng.normal(0, 0.06) * reach, taper=rng.uniform(-0.4, 0.4), jitter=0.5)
        )  # fmt: skip
    labels = list(range(FIRST_OBJECT, FIRST_OBJECT + count))
    order = [int(v) for v in rng.permutation(labels)]
    alike = [order[: 2 + count // 3]]
    drop = [*order[:1], FIRST_OBJECT + count]
    base = clutter(rng, shape, body=rng.random() < 0.5)
    return Anatomy("tubes", base, objects, [], drop, favoured=labels, alike=alike)
