"""Chain: 4 to 9 look-alike bodies with discs between them, a canal behind (spine-like)."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import small_rotation
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """A chain along one axis; every body and every disc has its own label."""
    length = float(np.prod(shape)) ** (1 / 3)
    count = int(rng.integers(4, 10))
    axis = int(rng.choice([2, 2, 2, 1, 0]))
    across = [a for a in range(3) if a != axis]
    extent = shape[axis] * rng.uniform(0.8, 1.3)
    pitch = extent / count
    width = np.clip(pitch * rng.uniform(0.8, 1.8, 2), 4, 0.36 * length)
    gap = rng.uniform(0.12, 0.3)
    sag = rng.normal(0, 0.12, 2) * extent
    offset = rng.uniform(-0.2, 0.2, 2) * length
    frame = np.eye(3)[[axis, *across]]
    growth = rng.uniform(-0.3, 0.3)
    boxy = rng.uniform(0.3, 1)
    back = float(rng.choice([-1.0, 1.0]))
    spread = rng.uniform(0.5, 0.9)

    def at(t: float, aside: float = 0.0) -> np.ndarray:
        """Place on the centre line; t from -1 to 1 along the chain, `aside` towards the back."""
        across_chain = offset + sag * t * t + np.array([aside, 0.0])
        return frame.T @ np.array([t * extent / 2, *across_chain])

    bodies, discs, spines = [], [], []
    first_disc, first_spine = FIRST_OBJECT + count, FIRST_OBJECT + 2 * count
    with_spines = rng.random() < 0.5
    for i in range(count):
        t = (2 * i + 1) / count - 1
        grow = 1 + growth * t
        tilt = small_rotation(rng, 3) @ frame
        radii = np.array([pitch * (1 - gap) / 2, width[0] * grow / 1.6, width[1] * grow / 1.6])
        bodies.append(Primitive(FIRST_OBJECT + i, at(t), radii, tilt, boxy, jitter=0.2))
        if i + 1 < count:
            flat = np.array([max(0.8, pitch * gap / 2), *(radii[1:] * 0.95)])
            discs.append(Primitive(first_disc + i, at(t + 1 / count), flat, tilt, 0.5, jitter=0.1))
        if with_spines:  # the process belongs to its body's label
            thin = np.array([pitch * 0.25, width[0] * spread, max(1.2, width[1] * 0.2)])
            behind = at(t, back * width[0] * 1.1)
            spines.append(Primitive(FIRST_OBJECT + i, behind, thin, tilt, 0.3, jitter=0.2))
    objects = spines + bodies + discs
    kinds = [[FIRST_OBJECT + i for i in range(count)], [first_disc + i for i in range(count - 1)]]
    if rng.random() < 0.7:
        radius = max(1.3, width[0] * rng.uniform(0.2, 0.4))
        canal_at = at(0.0, back * (width[0] / 1.6 + radius))
        bend = (sag[0] * 1.2, sag[1] * 1.2, 0.0)
        radii = np.array([extent * 0.6, radius, radius])
        objects.append(Primitive(first_spine, canal_at, radii, frame, 1.0, bend, jitter=0.1))
    ends = [kinds[0][0], kinds[0][-1], kinds[1][0], kinds[1][-1]]
    favoured = sorted({o.label for o in objects})
    base = clutter(rng, shape, body=rng.random() < 0.5)
    link = (at(1 / count) - at(-1 / count)) if count > 1 else None
    return Anatomy("chain", base, objects, kinds, ends, favoured=favoured, link=link)
