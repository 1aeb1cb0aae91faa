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
    """A set of labels, perhaps only their half on one side of a plane of the anatomy."""

    labels: tuple[int, ...]  # the labels that form the mask
    normal: np.ndarray | None = None  # (3,) of the plane, or None for all of it
    # (3,) anatomy points of the plane, in reference and query
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


class TaskSampler:
    """Draws tasks on one pair, most on labels that both images show.

    Args:
        rng: source of the draw.
        anatomy: that both people share.
        pair: reference and query.
        counts: (2, LABELS) voxels of each label in reference and query.
    """

    def __init__(
        self, rng: np.random.Generator, anatomy: Anatomy, pair: tuple[Person, Person], counts: np.ndarray
    ) -> None:
        self.rng, self.anatomy, self.counts = rng, anatomy, counts[0]
        # where lesions are, an object's centre is not that of its label
        objects = [[] if anatomy.contrast else person.objects for person in pair]
        self.centres = [{o.label: o.place for o in some} for some in objects]
        self.most = self.counts.sum() / 2
        self.used: set[int] = set()
        seen = (self.counts >= LEAST) & (self.counts <= self.most)
        seen[0] = False
        self.both = np.flatnonzero(seen & (counts[1] >= LEAST))
        self.gone = np.flatnonzero(seen & (counts[1] == 0))
        if not self.both.size:
            self.both = np.flatnonzero(seen) if seen.any() else np.array([self.counts.argmax()])

    def draw(self) -> Task:
        """A task: 60 % one label, 20 % a union, 10 % a kind, 10 % half a label; 15 % absent in the query."""
        rng = self.rng
        if self.gone.size and rng.random() < ABSENT_SHARE:
            return Task((self._pick(self.gone),))
        draw, label = rng.random(), self._pick(self.both)
        if draw < 0.2:
            more = {label, *(self._pick(self.both) for _ in range(int(rng.integers(1, 3))))}
            if self.counts[list(more)].sum() <= self.most:
                return Task(tuple(sorted(more)))
        elif draw < 0.35:
            for kind in self.anatomy.kinds:
                if label in kind and self.counts[kind].sum() <= self.most:
                    return Task(tuple(kind))
        elif draw < 0.5 and self.counts[label] >= 4 * LEAST and all(label in one for one in self.centres):
            normal = np.eye(3)[int(rng.integers(3))] if rng.random() < 0.5 else rng.normal(size=3)
            normal = normal / np.linalg.norm(normal) * rng.choice([-1.0, 1.0])
            return Task((label,), normal, (self.centres[0][label], self.centres[1][label]))
        return Task((label,))

    def _pick(self, labels: np.ndarray) -> int:
        """A label; unused, favoured and large ones are likelier."""
        weight = self.counts[labels].astype(float) ** 0.2
        weight *= np.where(np.isin(labels, self.anatomy.favoured), 8.0, 1.0)
        weight *= np.where(np.isin(labels, list(self.used)), 0.03, 1.0)
        label = int(self.rng.choice(labels, p=weight / weight.sum()))
        self.used.add(label)
        return label
