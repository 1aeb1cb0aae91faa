"""Specks: many tiny spots of one label inside an organ; other organs carry spots that look the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.draws import any_rotation, log_uniform
from iris_core.training.synthesis.families.lesions import draw_spot
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive

ASKED, DECOY = FIRST_OBJECT + 8, FIRST_OBJECT + 12  # labels of spots in the host, and of spots elsewhere


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """One host with 6 to 30 spots of one or two labels; other organs carry spots that look the same."""
    length = float(np.prod(shape)) ** (1 / 3)
    side = np.asarray(shape, float)
    objects: list[Primitive] = []
    for i in range(int(rng.integers(2, 5))):
        radii = length * rng.uniform(0.2, 0.38, 3) * (1.0 if i == 0 else 0.6)
        centre = rng.uniform(-1, 1, 3) * side * (0.18 if i == 0 else 0.42)
        bend = tuple(rng.normal(0, 0.2, 3) * radii[0])
        objects.append(
            Primitive(FIRST_OBJECT + i, centre, radii, any_rotation(rng), rng.uniform(0, 0.5), bend)
        )
    host, others = replace(objects[0], jitter=0.5), objects[1:]
    alike = [[ASKED + nth, DECOY + nth] for nth in range(int(rng.integers(1, 3)))]
    spots = []
    for own, decoy in alike:
        spots += _spots(rng, host, own, int(rng.integers(6, 31)))
        for organ in others:
            if rng.random() < 0.7:
                spots += _spots(rng, organ, decoy, int(rng.integers(2, 13)))
    labels = [own for own, _ in alike]
    base = clutter(rng, shape, body=rng.random() < 0.5)
    drop = [*labels[1:], *(o.label for o in others)]
    return Anatomy("specks", base, [*others, host, *spots], [], drop, labels, favoured=[*labels, host.label],
                   alike=alike)  # fmt: skip


def _spots(rng: np.random.Generator, organ: Primitive, label: int, count: int) -> list[Primitive]:
    """Spots of 0.8 to 2.6 voxels, anywhere in an organ, in every person anew."""
    size = log_uniform(rng, 0.8, 2.0)
    return [draw_spot(rng, organ, label, size) for _ in range(count)]
