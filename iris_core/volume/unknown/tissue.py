"""How much a voxel's intensity speaks for a structure: from what the label says of other voxels."""

from __future__ import annotations

import numpy as np

BINS = 64
BLUR = 1.5  # bins, by which counts are smoothed (ours)
MOST = 3.0  # logarithm of the odds, at most (ours)
DOUBT = 10.0  # voxels that are counted with every intensity beforehand, over all bins (ours)


class Histogram:
    """Intensities of a structure and of what surrounds it, as counts.

    Args:
        bins: whole numbers below BINS.
        inside: of the structure; the same shape.
        outside: of its surroundings; the same shape.
    """

    def __init__(self, bins: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> None:
        self.inside, self.outside = (_counts(bins[mask]) for mask in (inside, outside))

    def __add__(self, other: Histogram) -> Histogram:
        total = object.__new__(Histogram)
        total.inside, total.outside = self.inside + other.inside, self.outside + other.outside
        return total


def log_odds(local: Histogram, everywhere: Histogram) -> np.ndarray:
    """(BINS,): logarithm of how much likelier each intensity is inside; half from nearby, half from all."""
    floor = 1 / (BINS * (DOUBT + local.inside.sum()))
    shares = [
        (one / max(one.sum(), 1) + every / max(every.sum(), 1)) / 2 + floor
        for one, every in ((local.inside, everywhere.inside), (local.outside, everywhere.outside))
    ]
    return np.clip(np.log(shares[0] / shares[1]), -MOST, MOST)


def binned(image: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Each voxel's bin, between the half per cent at either end of the known voxels' intensities."""
    low, high = np.percentile(image[known], (0.5, 99.5))
    scaled = (image - low) / max(high - low, 1e-6) * (BINS - 1)
    return np.clip(scaled, 0, BINS - 1).astype(np.uint8)


def _counts(bins: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.bincount(bins.ravel(), minlength=BINS).astype(np.float64), BLUR)
