"""Tasks: the structures that a network must segment on a pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from iris_core.training.synthesis.anatomy import Anatomy
from iris_core.training.synthesis.person_pair import Person

LEAST = 30  # voxels of a task in the reference
ABSENT_SHARE = 0.17  # where something is absent at all; .15 over everything
PRESENT = 8  # voxels that make a class present in the query


@dataclass(frozen=True)
class Task:
    """A set of labels, perhaps only their half on one side of a plane of the anatomy.

    Attributes:
        labels: the labels that form the mask.
        normal: (3,) of the plane, or None for all of it.
        points: (3,) anatomy points of the plane, in reference and query.
    """

    labels: tuple[int, ...]
    normal: np.ndarray | None = None
    points: tuple[np.ndarray, np.ndarray] | None = None

    def mask(self, labels: torch.Tensor, places: torch.Tensor, query: bool) -> torch.Tensor:
        """The task's mask (D, H, W) bool.

        Args:
            labels: (D, H, W) uint8.
            places: (D, H, W, 3) anatomy coordinates.
            query: which of the two images this is.
        """
        mask = labels == self.labels[0]
        for label in self.labels[1:]:
            mask |= labels == label
        if self.normal is not None and self.points is not None:
            normal = torch.tensor(self.normal, dtype=torch.float32, device=labels.device)
            mask[mask.clone()] = places[mask] @ normal > float(self.points[int(query)] @ self.normal)
        return mask


def draw_tasks(
    rng: np.random.Generator,
    anatomy: Anatomy,
    pair: tuple[Person, Person],
    counts: np.ndarray,
    classes: int,
) -> list[Task]:
    """K tasks on a pair, most on labels that both images show.

    Args:
        rng: source of the draw.
        anatomy: that both people share.
        pair: reference and query.
        counts: (2, LABELS) voxels of each label in reference and query.
        classes: K.

    Returns:
        K tasks: 60 % one label, 20 % a union, 10 % a kind, 10 % half a label; 15 % absent in the query.
    """
    # where lesions are, an object's centre is not that of its label
    objects = [[] if anatomy.contrast else person.objects for person in pair]
    here, there = ({o.label: o.place for o in some} for some in objects)
    centres = {label: (here[label], there[label]) for label in here.keys() & there.keys()}
    most = counts[0].sum() / 2
    seen = (counts[0] >= LEAST) & (counts[0] <= most)
    seen[0] = False
    both = np.flatnonzero(seen & (counts[1] >= LEAST))
    gone = np.flatnonzero(seen & (counts[1] == 0))
    if not both.size:
        both = np.flatnonzero(seen) if seen.any() else np.array([counts[0].argmax()])
    tasks: list[Task] = []
    used: set[int] = set()
    for _ in range(classes):
        if gone.size and rng.random() < ABSENT_SHARE:
            tasks.append(Task((_pick(rng, anatomy, gone, counts[0], used),)))
        else:
            tasks.append(_present(rng, anatomy, both, counts[0], centres, used, most))
    return tasks


def _pick(
    rng: np.random.Generator, anatomy: Anatomy, labels: np.ndarray, counts: np.ndarray, used: set[int]
) -> int:
    """A label; unused, favoured and large ones are likelier."""
    weight = counts[labels].astype(float) ** 0.2
    weight *= np.where(np.isin(labels, anatomy.favoured), 8.0, 1.0)
    weight *= np.where(np.isin(labels, list(used)), 0.03, 1.0)
    label = int(rng.choice(labels, p=weight / weight.sum()))
    used.add(label)
    return label


def _present(
    rng: np.random.Generator,
    anatomy: Anatomy,
    labels: np.ndarray,
    counts: np.ndarray,
    centres: dict[int, tuple[np.ndarray, np.ndarray]],
    used: set[int],
    most: float,
) -> Task:
    draw = rng.random()
    label = _pick(rng, anatomy, labels, counts, used)
    if draw < 0.2:
        more = {label, *(_pick(rng, anatomy, labels, counts, used) for _ in range(int(rng.integers(1, 3))))}
        if counts[list(more)].sum() <= most:
            return Task(tuple(sorted(more)))
    elif draw < 0.35:
        kinds = [kind for kind in anatomy.kinds if label in kind and counts[kind].sum() <= most]
        if kinds:
            return Task(tuple(kinds[0]))
    elif draw < 0.5 and counts[label] >= 4 * LEAST and label in centres:
        normal = np.eye(3)[int(rng.integers(3))] if rng.random() < 0.5 else rng.normal(size=3)
        normal = normal / np.linalg.norm(normal) * rng.choice([-1.0, 1.0])
        return Task((label,), normal, centres[label])
    return Task((label,))
