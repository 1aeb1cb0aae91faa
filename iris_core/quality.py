"""Quality: how good a result probably is, from the network's own probabilities (docs/decisions/0016)."""

from __future__ import annotations

from math import exp, log

from torch import Tensor

# Logistic fit of true Dice on the logit of the soft overlap, for the shipped weights: benchmarks/quality.py.
INTERCEPT, SLOPE = -1.87, 1.59
PER_REFERENCE = 0.32  # times the logarithm of their number: the mean of several is softer than it is wrong
LEAST, MOST = 0.02, 0.995  # soft overlaps that the fit has seen, about


def soft_overlap(logits: Tensor) -> float:
    """Dice between a mask and the probabilities that it was cut from; 0 for an empty mask.

    Args:
        logits: of one class, any shape; the mask is where they are above 0.
    """
    mask = logits > 0
    if not bool(mask.any()):
        return 0.0
    probability = logits.sigmoid()
    return float(2 * probability[mask].sum() / (probability.sum() + mask.sum()))


def calibrated(overlap: float) -> float:
    """The Dice that results of such a soft overlap had on average; 0 stays 0."""
    if overlap <= 0:
        return 0.0
    kept = min(max(overlap, LEAST), MOST)
    return 1 / (1 + exp(-INTERCEPT - SLOPE * log(kept / (1 - kept))))


def of_references(expected: float, count: int) -> float:
    """The Dice to expect where several references took part; 0 stays 0.

    Args:
        expected: of the result, as of one reference.
        count: of references, at least 1.
    """
    if not 0 < expected < 1:
        return expected
    return 1 / (1 + exp(-PER_REFERENCE * log(count)) * (1 - expected) / expected)


def expected_dice(logits: Tensor) -> float:
    """The Dice to expect of a class; an estimate, 0 for an empty mask. Args: logits (D, H, W)."""
    return round(calibrated(soft_overlap(logits)), 4)
