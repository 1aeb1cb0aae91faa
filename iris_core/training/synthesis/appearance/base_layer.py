"""The base layer: what fills the space behind the objects.

A base layer gives every point of space a label: air, the rim of a body, a partition into regions, or nested
shells. It is a function of anatomy coordinates, so it never needs resampling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

AIR, RIM, FIRST_REGION = 0, 1, 2
CHUNK = 2**14  # points scored at once


@dataclass(frozen=True)
class Ripple:
    """A smooth random scalar field, a sum of J cosines with standard deviation about 1."""

    frequency: np.ndarray  # (J, 3) radians per voxel
    phase: np.ndarray  # (J,)

    @staticmethod
    def draw(rng: np.random.Generator, wavelength: float, terms: int = 5) -> Ripple:
        """A field whose waves are about `wavelength` voxels long."""
        direction = rng.normal(size=(terms, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        speed = 2 * np.pi / wavelength * rng.uniform(0.6, 1.4, (terms, 1))
        return Ripple(direction * speed, rng.uniform(0, 2 * np.pi, terms))

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Values (P,) at points (P, 3)."""
        return self.features(points).sum(0) * (2.0 / self.phase.size) ** 0.5

    def features(self, points: torch.Tensor) -> torch.Tensor:
        """The single cosines (J, P) at points (P, 3)."""
        frequency = torch.as_tensor(self.frequency, dtype=points.dtype, device=points.device)
        phase = torch.as_tensor(self.phase, dtype=points.dtype, device=points.device)
        return torch.addmm(phase.unsqueeze(1), frequency, points.T).cos_()


@dataclass(frozen=True)
class BaseLayer:
    """Labels for all of space."""

    body: np.ndarray | None = None  # (3,) half axes of the body in voxels, or None for a window without air
    rim: float = 0.0  # thickness of the rim in body radii; 0 for none
    surface: Ripple | None = None  # ripple of the body's surface and of the shells
    rough: float = 0.0  # amplitude of that ripple in body radii
    # (3 + 1 + J, n) weights of x, y, z, 1 and the cosines of `regions`; the highest score wins
    scores: np.ndarray | None = None
    regions: Ripple | None = None  # ripple whose cosines feed `scores`
    # inner radii (falling) where shells, labelled from `FIRST_REGION` on, end, in body radii
    shells: tuple[float, ...] = ()
    folds: Ripple | None = None  # ripple that folds the shells
    fold_depth: tuple[float, ...] = ()  # how much it folds them, one number a shell border
    # the shells from this index on have a right half with its own label; None for no halves
    sided: int | None = None

    @property
    def region_labels(self) -> range:
        """Labels of the partition's regions; empty without a partition."""
        count = 0 if self.scores is None else self.scores.shape[1]
        return range(FIRST_REGION, FIRST_REGION + count)

    def labels(self, points: torch.Tensor) -> torch.Tensor:
        """Labels (P,) uint8 at anatomy coordinates (P, 3)."""
        label = torch.full(points.shape[:1], FIRST_REGION, dtype=torch.uint8, device=points.device)
        if self.scores is not None and self.regions is not None:
            cosines = self.regions.features
            label = torch.cat([self._region_labels(some, cosines(some)) for some in points.split(CHUNK)])
        if self.body is None:
            return label
        radii = torch.as_tensor(self.body, dtype=points.dtype, device=points.device)
        radius = (points / radii).square().sum(1).sqrt()
        if self.surface is not None and self.rough > 0:
            radius = radius + self.rough * self.surface(points)
        if self.folds is not None:
            label = self._shell_labels(points, radius, self.folds(points))
        if self.rim > 0:
            label = torch.where(radius > 1 - self.rim, RIM, label)
        return torch.where(radius > 1, AIR, label)

    def _region_labels(self, points: torch.Tensor, cosines: torch.Tensor) -> torch.Tensor:
        weights = torch.as_tensor(self.scores, dtype=points.dtype, device=points.device)
        features = torch.cat([points.T, torch.ones_like(points[:, 0])[None], cosines])
        scores = weights.T @ features  # (n, P)
        region = torch.arange(scores.shape[0], dtype=torch.uint8, device=points.device).unsqueeze(1)
        # argmax, written so that it is fast on a CPU
        return ((scores == scores.amax(0)) * region).amax(0) + FIRST_REGION

    def _shell_labels(self, points: torch.Tensor, radius: torch.Tensor, fold: torch.Tensor) -> torch.Tensor:
        depth = torch.zeros(points.shape[0], dtype=torch.uint8, device=points.device)
        for border, amount in zip(self.shells, self.fold_depth, strict=True):
            depth += (radius + amount * fold < border).byte()
        label = FIRST_REGION + depth
        if self.sided is not None:
            halves = (depth >= self.sided) & (points[:, 0] > 0)
            label = torch.where(halves, label + len(self.shells) + 1 - self.sided, label)
        return label


def draw_partition(
    rng: np.random.Generator, shape: tuple[int, int, int], regions: int, scale: float
) -> tuple[np.ndarray, Ripple]:
    """Weights that split space into regions of about `scale` voxels.

    Half of the score is the distance to a seed point (a Voronoi cell), half a smooth random field.

    Returns:
        `scores` (3 + 1 + J, regions) and the ripple `regions` of a `BaseLayer`.
    """
    ripple = Ripple.draw(rng, 2.5 * scale, terms=10)
    half = np.asarray(shape) * 0.75
    seeds = rng.uniform(-1, 1, (regions, 3)) * half
    voronoi = np.concatenate([2 * seeds.T, -(seeds**2).sum(1)[None]]) / scale**2  # |x|^2 is common to all
    waves = rng.normal(size=(10, regions)) * rng.choice([0.4, 1.0, 2.0])
    voronoi[3] += rng.normal(0, 0.4, regions)
    return np.concatenate([voronoi, waves]).astype(np.float32), ripple
