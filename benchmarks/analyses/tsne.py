"""t-SNE in numpy (van der Maaten and Hinton 2008): exact, for a few hundred points."""

from __future__ import annotations

import numpy as np

STEPS, EXAGGERATED = 700, 150  # descent; of them with early exaggeration
EXAGGERATION = 12.0


def affinities(distances: np.ndarray, perplexity: float) -> np.ndarray:
    """Symmetric neighbour probabilities.

    Args:
        distances: (N, N), squared.
        perplexity: effective number of neighbours, below N - 1.

    Returns:
        (N, N), zeros on the diagonal, sum 1.
    """
    count = len(distances)
    low, high, beta = np.zeros(count), np.full(count, np.inf), np.full(count, 1.0 / np.median(distances))
    for _ in range(60):  # bisection of each point's own width
        weights = np.exp(-beta[:, None] * (distances - _nearest(distances)[:, None]))
        np.fill_diagonal(weights, 0.0)
        rows = weights / weights.sum(1, keepdims=True)
        entropy = -(rows * np.log(np.maximum(rows, 1e-300))).sum(1)
        wide = entropy > np.log(perplexity)
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), beta * 2, (low + np.where(np.isinf(high), beta, high)) / 2)
    return (rows + rows.T) / (2 * count)


def tsne(points: np.ndarray, *, perplexity: float = 20.0, seed: int = 0) -> np.ndarray:
    """Places of the points on a plane in which neighbours stay neighbours.

    Args:
        points: (N, C), N of 4 or more.
        perplexity: effective number of neighbours; at most a third of the others are used.
        seed: of the start.

    Returns:
        (N, 2).
    """
    squares = (points**2).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    wanted = affinities(distances, min(perplexity, (len(points) - 1) / 3))
    places = np.random.default_rng(seed).normal(0, 1e-4, (len(points), 2))
    moved, gains = np.zeros_like(places), np.ones_like(places)
    rate = max(len(points) / EXAGGERATION, 50.0)
    for step in range(STEPS):
        pull = wanted * (EXAGGERATION if step < EXAGGERATED else 1.0)
        apart = places[:, None] - places
        kernel = 1 / (1 + (apart**2).sum(-1))
        np.fill_diagonal(kernel, 0.0)
        force = (pull - kernel / kernel.sum()) * kernel
        gradient = 4 * (force[:, :, None] * apart).sum(1)
        gains = np.where(np.sign(gradient) != np.sign(moved), gains + 0.2, gains * 0.8).clip(0.01)
        moved = (0.5 if step < EXAGGERATED else 0.8) * moved - rate * gains * gradient
        places = places + moved
        places -= places.mean(0)
    return places


def _nearest(distances: np.ndarray) -> np.ndarray:
    """Each point's distance to its nearest other, which keeps the exponentials in range."""
    return np.where(np.eye(len(distances), dtype=bool), np.inf, distances).min(1)
