"""Heart: touching cavities of equal brightness in a wall, with vessels that leave them."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import any_rotation, small_rotation
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """Two to four chambers: walls first, then cavities that touch, then vessels of the same blood."""
    length = float(np.prod(shape)) ** (1 / 3)
    frame = small_rotation(rng, 20, 60) if rng.random() < 0.7 else any_rotation(rng)
    size = length * rng.uniform(0.14, 0.3)
    centre = rng.uniform(-0.1, 0.1, 3) * np.asarray(shape)
    wall, blood = FIRST_OBJECT, FIRST_OBJECT + 1
    seats = np.array(
        [[0, 0, 0], [0.3, 1.35, 0.1], [0.1, 0.1, 1.6], [0.4, 1.3, 1.5]]
    )  # main, side, above, both
    count = int(rng.integers(2, 5))
    walls, cavities = [], []
    for i in range(count):
        at = centre + frame.T @ (seats[i] * size * rng.uniform(0.85, 1.1, 3) - size * 0.5)
        radii = size * np.array([rng.uniform(0.9, 1.5), rng.uniform(0.65, 1.0), rng.uniform(0.75, 1.1)])
        rotation = small_rotation(rng, 12) @ frame
        bend = (rng.normal(0, 0.3) * radii[0], rng.normal(0, 0.2) * radii[0], 0.0)
        boxy = rng.uniform(0, 0.4)
        thick = max(1.5, size * (rng.uniform(0.25, 0.5) if i == 0 else rng.uniform(0.08, 0.2)))
        walls.append(Primitive(wall, at, radii + thick, rotation, boxy, bend, jitter=0.15))
        cavities.append(Primitive(blood + i, at, radii, rotation, boxy, bend, jitter=0.15))
    order = [*(rng.permutation(count - 1) + 1), 0]  # the main chamber is last, its wall stays whole
    objects = [walls[i] for i in order[:-1]] + [cavities[i] for i in order[:-1]] + [walls[0], cavities[0]]
    label = blood + count
    vessels = []
    for _ in range(int(rng.integers(0, 4))):
        root = cavities[int(rng.integers(count))]
        radius = max(1.5, size * rng.uniform(0.15, 0.4))
        radii = np.array([length * rng.uniform(0.2, 0.45), radius, radius])
        rotation = any_rotation(rng)
        at = np.asarray(root.centre) + rotation[0] * radii[0] * 0.9
        bend = (*(rng.normal(0, 0.2, 2) * radii[0]), 0.0)
        vessels.append(Primitive(label, at, radii, rotation, 1.0, bend))
        label += 1
    objects = vessels + objects
    labels = list(range(FIRST_OBJECT, label))
    kinds = [list(range(blood, label))]
    drop = [o.label for o in vessels]
    base = clutter(rng, shape, body=rng.random() < 0.4)
    return Anatomy("heart", base, objects, kinds, drop, favoured=labels)
