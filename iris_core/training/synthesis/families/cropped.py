"""Cropped: one long or bean-like structure fills the window; its parts meet at a border nobody can see."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import any_rotation, log_uniform, small_rotation
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import FAR, Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """A bent, tapered body cut into 2 or 3 parts at fixed places of its length, in a cluttered background."""
    side = np.asarray(shape, float)
    length = float(np.prod(side)) ** (1 / 3)
    axis = int(rng.integers(3))
    frame = np.eye(3)[[axis, (axis + 1) % 3, (axis + 2) % 3]]
    frame = small_rotation(rng, 15, 40) @ frame
    reach = side[axis] * rng.uniform(0.28, 0.52)
    radii = np.array([reach, *(length * rng.uniform(0.09, 0.3, 2))])
    radii[1:] = np.minimum(radii[1:], reach)
    parts = int(rng.choice([1, 2, 2, 2, 3]))
    first = rng.uniform(-0.45, 0.45) if parts == 2 else rng.uniform(-0.5, -0.15)
    cuts = (first if parts > 1 else FAR, rng.uniform(0.15, 0.5) if parts > 2 else FAR)
    bend = (rng.normal(0, 0.35) * reach, rng.normal(0, 0.2) * reach, rng.normal(0, 0.2) * radii[1])
    swing = rng.normal(0, 0.2) * radii[1]
    main = Primitive(
        FIRST_OBJECT, rng.uniform(-0.08, 0.08, 3) * side, radii, frame, rng.uniform(0, 0.6), bend, swing,
        taper=rng.uniform(-0.7, 0.7), cuts=cuts, cut_curve=rng.normal(0, 0.15), jitter=0.5,
    )  # fmt: skip
    neighbours = []
    for i in range(int(rng.integers(2, 9))):
        size = length * log_uniform(rng, 0.06, 0.25)
        tube = np.array([rng.uniform(1, 3), rng.uniform(0.5, 1), rng.uniform(0.5, 1)])
        centre = rng.uniform(-0.5, 0.5, 3) * side
        radii_near = np.maximum(size * tube, 1.3)
        neighbours.append(Primitive(FIRST_OBJECT + 3 + i, centre, radii_near, any_rotation(rng)))
    labels = list(range(FIRST_OBJECT, FIRST_OBJECT + parts))
    kinds = [labels, labels] if parts > 1 else []
    drop = [o.label for o in neighbours]
    base = clutter(rng, shape, body=False)
    return Anatomy("cropped", base, [*neighbours, main], kinds, drop, favoured=labels * 2, window_shift=0.4)
