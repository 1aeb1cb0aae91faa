"""A pair of people: one anatomy seen twice, each time in another pose, window and proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iris_core.training.synthesis.anatomy import Anatomy
from iris_core.training.synthesis.draws import log_uniform, small_rotation
from iris_core.training.synthesis.primitive import Primitive

DROP_SHARE = 0.8  # pairs whose query lacks something, so that tasks may be absent
LINKS_SHARE = 0.35  # pairs with a row of look-alikes whose fields of view differ by whole members of it
EXTRA_SHARE = 0.1  # pairs whose reference lacks something
SMALL_SHARE = 0.1  # pairs whose images are both smaller than the window
PADDED_SHARE = 0.12  # other images with padding


@dataclass
class Person:
    """One image's geometry."""

    matrix: np.ndarray  # (3, 3) window axes -> anatomy axes
    shift: np.ndarray  # (3,) anatomy point at the window's centre, voxels
    amplitude: float  # standard deviation of the velocity field, voxels
    spacing: float  # distance of its nodes, voxels
    objects: list[Primitive]  # the objects this person has, in painting order
    merged: dict[int, int]  # base labels that this person lacks, and the base label in their place
    # (3,) place of the window in its field of view, voxels; 0 where the network does not get it
    offset: np.ndarray
    box: np.ndarray  # (3, 2) first and last + 1 voxel that the image covers; outside is padding


def draw_pair(
    rng: np.random.Generator, anatomy: Anatomy, shape: tuple[int, int, int], progress: float
) -> tuple[Person, Person]:
    """Reference and query; the same person twice where the two are identical.

    By `progress`, 0 to 1, identical pairs fade out until .1, and differences grow until .2.
    """
    side = np.asarray(shape, float)
    length = float(np.prod(side)) ** (1 / 3)
    strength = min(1.0, 0.25 + 0.75 * progress / 0.2)
    identical = rng.random() < max(0.0, 0.2 * (1 - progress / 0.1))
    lacking = [] if identical or not anatomy.droppable else list(anatomy.droppable)
    lacking = lacking[: 1 + int(rng.integers(len(lacking)))] if lacking and rng.random() < DROP_SHARE else []
    extra = [v for v in anatomy.droppable if v not in lacking][:1] if rng.random() < EXTRA_SHARE else []
    nominal, zooms, known = _windows(rng, side, anatomy.window_shift * strength)
    if anatomy.link is not None and not identical and rng.random() < LINKS_SHARE:
        nominal = nominal + np.array([[0.0], [1.0]]) * anatomy.link * int(rng.choice([-2, -1, 1, 2]))
    small = _box_of_a_crop(rng, shape) if rng.random() < SMALL_SHARE else None
    people = []
    for nth, without in enumerate((extra, lacking)):
        matrix = _pose(rng, strength) * zooms[nth]
        shift = nominal[nth] + rng.uniform(-0.05, 0.05, 3) * side * strength
        offset = np.linalg.solve(matrix, nominal[nth]) if known else np.zeros(3)
        objects = [o.moved(rng, length, strength) for o in anatomy.objects if o.label not in without]
        amplitude = log_uniform(rng, 0.5, 4) * strength * (length / 64) ** 0.5
        spacing = length * 2.0 ** rng.uniform(-4, -2)
        amplitude = min(amplitude, spacing * 0.5)  # short waves stay shallow
        regions = [v for v in without if v not in {o.label for o in anatomy.objects}]
        merged = {v: _neighbour(rng, anatomy, v, without) for v in regions}
        box = _box(rng, shape) if small is None else small
        people.append(Person(matrix, shift, amplitude, spacing, objects, merged, offset, box))
    if identical:
        people[1] = people[0]
    return people[0], people[1]


def _neighbour(rng: np.random.Generator, anatomy: Anatomy, label: int, without: list[int]) -> int:
    """A region that takes the place of one which the person lacks."""
    others = [v for v in anatomy.base.region_labels if v != label and v not in without]
    return int(rng.choice(others)) if others else label


def _pose(rng: np.random.Generator, strength: float) -> np.ndarray:
    """Rotation (sd 8 degrees, at most 25), scale .8 to 1.25, shear sd .05."""
    rotation = small_rotation(rng, 8 * strength)
    common = np.exp(rng.uniform(-1, 1) * np.log(1.2) * strength)
    scale = common * np.exp(rng.normal(0, 0.04, 3) * strength)
    shear = np.eye(3)
    shear[np.triu_indices(3, 1)] = rng.normal(0, 0.05, 3) * strength
    return rotation @ shear * scale


def _windows(
    rng: np.random.Generator, side: np.ndarray, freedom: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Nominal window centres (2, 3), zooms (2,), and whether the network gets the offsets."""
    nominal, zooms = np.zeros((2, 3)), np.ones(2)
    draw = rng.random()
    length = side.mean()
    if draw < 0.6:  # the same field of view
        if rng.random() < 0.4:
            nominal[:] = rng.uniform(-0.25, 0.25, 3) * side * freedom
    elif draw < 0.85:  # a moved and zoomed one
        direction = rng.normal(size=3)
        nominal[1] = direction / np.linalg.norm(direction) * rng.uniform(0.1, 0.3) * length * freedom
        zooms[1] = np.exp(rng.uniform(np.log(0.7), np.log(1.4)) * freedom)
        if rng.random() < 0.5:
            nominal, zooms = nominal[::-1].copy(), zooms[::-1].copy()
    else:  # another window of a larger body
        nominal[0] = rng.uniform(-0.3, 0.3, 3) * side * freedom
        nominal[1] = nominal[0] + rng.uniform(-0.4, 0.4, 3) * side * freedom
    return nominal, zooms, bool(rng.random() < 0.5)


def _box(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """What the image covers of the window: all, or less at one to three sides."""
    box = np.array([[0, n] for n in shape])
    if rng.random() < PADDED_SHARE:
        for _ in range(int(rng.integers(1, 4))):
            axis, end = int(rng.integers(3)), int(rng.integers(2))
            depth = int(rng.uniform(0.03, 0.22) * shape[axis])
            box[axis, end] += depth if end == 0 else -depth
    return box


def _box_of_a_crop(rng: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """What a small image covers: the middle of the window, at most a third less along each axis."""
    lost = (rng.uniform(0.0, 0.17, 3) * shape).astype(int)
    return np.stack([lost, np.array(shape) - lost], 1)
