"""How much of a structure's volume a linear probe finds in its embedding, cross-validated over studies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

RIDGES = tuple(10.0**power for power in range(-5, 3))  # of standardised inputs, per embedding


def predicted(vectors: np.ndarray, volumes: np.ndarray, studies: Sequence[str]) -> np.ndarray:
    """Logarithms of volumes that a ridge regression tells, for each study by a fit to all others.

    The ridge is chosen within those others, again by leaving studies out in turn.

    Args:
        vectors: (N, C), pooled tokens as they are, neither normalised nor projected.
        volumes: (N,), voxels.
        studies: of each.

    Returns:
        (N,).
    """
    own, wanted = np.asarray(studies), np.log(volumes)
    found = np.empty(len(wanted))
    for study in dict.fromkeys(studies):
        rest = own != study
        groups = own[rest]
        errors = np.zeros(len(RIDGES))
        for other in dict.fromkeys(groups):
            inner = groups != other
            told = _answers(vectors[rest][inner], wanted[rest][inner], vectors[rest][~inner])
            errors += ((told - wanted[rest][~inner]) ** 2).sum(1)
        told = _answers(vectors[rest], wanted[rest], vectors[~rest])
        found[~rest] = told[int(errors.argmin())]
    return found


def r2(found: np.ndarray, volumes: np.ndarray) -> float:
    """The share of the variance of log volumes that predictions explain; below 0 where they mislead."""
    wanted = np.log(volumes)
    if np.ptp(wanted) == 0:
        return 0.0
    return float(1 - ((wanted - found) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())


def _answers(inputs: np.ndarray, wanted: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(ridges, M) predictions at `asked` (M, C) of fits to `inputs` (N, C), one for each ridge."""
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-9
    left, values, right = np.linalg.svd((inputs - mean) / spread, full_matrices=False)
    turned = left.T @ (wanted - wanted.mean())
    rotated = (asked - mean) / spread @ right.T
    rows = [rotated @ (values / (values**2 + ridge * len(inputs)) * turned) for ridge in RIDGES]
    return np.stack(rows) + wanted.mean()
