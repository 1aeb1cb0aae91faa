"""One person: the variation that makes no two phantoms alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


class Subject:
    """Draws the sizes, places and the smooth warp of one person from a seeded generator.

    Args:
        rng: Source of all randomness.
        stature: Relative spread of the whole body's size, by axis.
        warp: Amplitude of the smooth warp in mm.
    """

    def __init__(self, rng: np.random.Generator, stature: float = 0.06, warp: float = 3.0) -> None:
        self.rng = rng
        self.scale = 1 + rng.uniform(-stature, stature, 3)
        # Three slow waves; the wavelength is far longer than the amplitude, so that nothing folds.
        self.wave_amplitude = rng.uniform(0.3, 1.0, (3, 3)) * warp / 2
        direction = rng.normal(size=(3, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        self.wave_vector = direction * 2 * np.pi / rng.uniform(90, 170, (3, 1))
        self.wave_phase = rng.uniform(0, 2 * np.pi, 3)

    def to_atlas(self, points: np.ndarray) -> np.ndarray:
        """Patient coordinates (..., 3) in mm -> where that tissue lies in the average person."""
        phases = points @ self.wave_vector.T + self.wave_phase
        return points / self.scale + np.sin(phases) @ self.wave_amplitude

    def place(self, centre: ArrayLike, spread: float = 4.0) -> np.ndarray:
        """An organ's centre, moved by up to `spread` mm along each axis."""
        return np.asarray(centre, float) + self.rng.uniform(-spread, spread, 3)

    def size(self, radii: ArrayLike, spread: float = 0.12) -> np.ndarray:
        """An organ's radii: one common factor and a smaller one for each axis."""
        radii = np.asarray(radii, float)
        return radii * self.about(1.0, spread) * self.rng.uniform(1 - spread / 2, 1 + spread / 2, radii.shape)

    def about(self, value: float, spread: float = 0.1) -> float:
        """A number within a relative spread of `value`."""
        return value * self.rng.uniform(1 - spread, 1 + spread)
