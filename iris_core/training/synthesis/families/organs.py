"""Organs: 8 to 40 bodies, tubes, sheets and mirrored pairs in a body (after anatomix, Dey et al. 2025)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, LABELS, Anatomy
from iris_core.training.synthesis.draws import any_rotation, log_uniform, small_rotation, some_of
from iris_core.training.synthesis.families.partition import clutter
from iris_core.training.synthesis.primitive import Primitive


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """An abdomen-like clutter; large things are painted first."""
    length = float(np.prod(shape)) ** (1 / 3)
    half = np.asarray(shape) * 0.5
    objects: list[Primitive] = []
    kinds: list[list[int]] = []
    label = FIRST_OBJECT
    for _ in range(int(rng.integers(8, 26))):
        thing = _object(rng, label, half, length)
        if rng.random() < 0.25 and label + 2 < LABELS:  # a mirrored pair
            thing = _aside(thing, rng, half)
            twin = _twin(thing, rng, label + 1)
            objects += [thing, twin]
            kinds.append([label, label + 1])
            label += 1
        else:
            objects.append(thing)
        label += 1
        if label >= LABELS - 1:
            break
    objects.sort(key=lambda o: -float(np.prod(o.radii)))
    labels = [o.label for o in objects]
    drop = some_of(rng, labels, max(2, len(labels) // 4))
    base = clutter(rng, shape, body=rng.random() < 0.7)
    return Anatomy("organs", base, objects, kinds, drop, favoured=labels)


def _object(rng: np.random.Generator, label: int, half: np.ndarray, length: float) -> Primitive:
    """A body (60 %), a bent tube (25 %) or a sheet (15 %) somewhere in the window."""
    centre = rng.uniform(-0.95, 0.95, 3) * half
    rotation = any_rotation(rng)
    kind = rng.random()
    if kind < 0.6:
        size = length * log_uniform(rng, 0.055, 0.3)
        radii = np.maximum(size * np.exp(rng.normal(0, 0.3, 3)), 1.5)
        bend = tuple(rng.normal(0, 0.3, 3) * radii[0])
        boxy, taper = rng.uniform(0, 0.8), rng.uniform(-0.6, 0.6)
        return Primitive(label, centre, radii, rotation, boxy, bend, taper=taper)
    if kind < 0.85:
        radius = log_uniform(rng, 1.5, 0.12 * length)
        radii = np.array([length * rng.uniform(0.2, 0.6), radius, radius * rng.uniform(0.7, 1.3)])
        bend = (*(rng.normal(0, 0.25, 2) * radii[0]), 0.0)
        swing, boxy, taper = radius * rng.uniform(-1, 1), rng.uniform(0.4, 1), rng.uniform(-0.4, 0.4)
        return Primitive(label, centre, radii, rotation, boxy, bend, swing, taper)
    radii = np.array([*(length * rng.uniform(0.15, 0.4, 2)), rng.uniform(0.9, 2.2)])
    bend = (0.0, *(rng.normal(0, 0.3, 2) * radii[:2]))
    return Primitive(label, centre, radii, rotation, rng.uniform(0.4, 1), bend, jitter=0.6)


def _aside(thing: Primitive, rng: np.random.Generator, half: np.ndarray) -> Primitive:
    centre = np.asarray(thing.centre).copy()
    centre[0] = half[0] * rng.uniform(0.25, 0.75)
    size = min(1.0, centre[0] / max(thing.reach, 1e-3))
    radii = np.maximum(np.asarray(thing.radii) * size, 1.2)
    return replace(thing, centre=centre, radii=radii, bend=tuple(np.array(thing.bend) * size))


def _twin(thing: Primitive, rng: np.random.Generator, label: int) -> Primitive:
    """The mirror image with a little difference."""
    return replace(
        thing,
        label=label,
        centre=np.asarray(thing.centre) + rng.normal(0, 1, 3),
        radii=np.asarray(thing.radii) * np.exp(rng.normal(0, 0.06, 3)),
        rotation=small_rotation(rng, 5) @ thing.rotation,
        side=-1,
    )
