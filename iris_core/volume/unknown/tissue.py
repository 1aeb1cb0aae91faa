"""How likely a voxel is part of a structure by its intensity, from the intensities of known voxels."""

from __future__ import annotations

import numpy as np

BINS = 64
BLUR = 1.5  # bins, by which counts are smoothed (ours)
MOST = 3.0  # logarithm of the odds, at most (ours)
DOUBT = 10.0  # voxels that are counted with every intensity beforehand, over all bins (ours)


def histogram(bins: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """(2, BINS): how often each bin occurs in a structure, and how often in its surroundings, both bool."""
    from scipy.ndimage import gaussian_filter1d

    counts = [np.bincount(bins[mask].ravel(), minlength=BINS) for mask in (inside, outside)]
    return gaussian_filter1d(np.array(counts, dtype=np.float64), BLUR)


def log_odds(local: np.ndarray, everywhere: np.ndarray) -> np.ndarray:
    """(BINS,): logarithm of how much likelier each bin is inside, half by each of two histograms."""
    floor = 1 / (BINS * (DOUBT + local[0].sum()))
    shares = [one / np.maximum(one.sum(axis=1, keepdims=True), 1) for one in (local, everywhere)]
    inside, outside = (shares[0] + shares[1]) / 2 + floor
    return np.clip(np.log(inside / outside), -MOST, MOST)


def binned(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Each voxel's bin, between the half per cent at either end of the known voxels' intensities."""
    low, high = np.percentile(image[known], (0.5, 99.5))
    scaled = (image - low) / max(high - low, 1e-6) * (BINS - 1)
    return np.clip(scaled, 0, BINS - 1).astype(np.uint8)
