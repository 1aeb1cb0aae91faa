"""Random values that several parts of an anatomy need."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is drawn evenly between those of two others."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def some_of(rng: np.random.Generator, labels: Sequence[int], count: int) -> list[int]:
    """So many different labels, in random order."""
    return [int(label) for label in rng.choice(labels, size=count, replace=False)]


def small_rotation(rng: np.random.Generator, degrees: float, limit: float = 25.0) -> np.ndarray:
    """A (3, 3) rotation by three normal angles of standard deviation `degrees`, each at most `limit`."""
    x, y, z = np.radians(np.clip(rng.normal(0, 1, 3) * degrees, -limit, limit))
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def any_rotation(rng: np.random.Generator) -> np.ndarray:
    """A (3, 3) rotation drawn evenly from all rotations."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return q
