"""Lesions: small spots of one label inside an organ, at other places in every person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import any_rotation, log_uniform
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """One to three organs; the first carries spots of one or two labels, 2 to 6 of each."""
    length = float(np.prod(shape)) ** (1 / 3)
    side = np.asarray(shape, float)
    objects = []
    for i in range(int(rng.integers(1, 4))):
        radii = length * rng.uniform(0.22, 0.42, 3) * (1.0 if i == 0 else 0.6)
        centre = rng.uniform(-1, 1, 3) * side * (0.15 if i == 0 else 0.45)
        bend = tuple(rng.normal(0, 0.25, 3) * radii[0])
        boxy = rng.uniform(0, 0.5)
        objects.append(Primitive(FIRST_OBJECT + i, centre, radii, any_rotation(rng), boxy, bend))
    host = objects[0]
    objects = [*objects[1:], replace(host, jitter=0.5)]
    spots = []
    labels = [FIRST_OBJECT + 8 + nth for nth in range(int(rng.integers(1, 3)))]
    for label in labels:
        for _ in range(int(rng.integers(2, 7))):
            size = max(1.6, length * log_uniform(rng, 0.035, 0.12))
            spots.append(draw_spot(rng, host, label, size, margin=size * 0.5))
    base = clutter(rng, shape, body=rng.random() < 0.5)
    drop = [*labels[1:], *(o.label for o in objects if o.label != host.label)]
    return Anatomy("lesions", base, objects + spots, [], drop, labels, favoured=[*labels, host.label])


def draw_spot(
    rng: np.random.Generator, organ: Primitive, label: int, size: float, margin: float = 0.0
) -> Primitive:
    """A spot anywhere in an organ but so near to its border, in every person anew; in voxels."""
    radii = size * np.exp(rng.normal(0, 0.25, 3))
    room = max(1.0, 0.75 * float(np.min(organ.radii)) - margin)
    return Primitive(label, organ.centre, radii, any_rotation(rng), jitter=0.6, roam=room)
