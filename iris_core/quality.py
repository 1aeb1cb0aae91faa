"""Quality: how good a result probably is, from the network's own probabilities (docs/decisions/0016).

Where the network made two passes, the estimate also rests on how well both results agree
(docs/decisions/0035).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

from torch import Tensor

LEAST, MOST = 0.02, 0.995  # overlaps that the fits rest on, about


@dataclass(frozen=True)
class Fit:
    """A logistic fit of Dice on the logit of an overlap, for the shipped weights (benchmarks/quality.py)."""

    intercept: float
    slope: float
    per_reference: float  # times the logarithm of their number; the mean of several is softer than wrong


ONCE = Fit(-1.87, 1.59, 0.32)  # on the soft overlap of a single pass
TWICE = Fit(-0.21, 1.21, 0.09)  # on the soft overlap times the Dice between two passes


def soft_overlap(logits: Tensor) -> float:
    """Dice between the mask of a class, where logits are above 0, and its probabilities; 0 if it is empty."""
    mask = logits > 0
    if not bool(mask.any()):
        return 0.0
    probability = logits.sigmoid()
    return float(2 * probability[mask].sum() / (probability.sum() + mask.sum()))


def calibrated(overlap: float, fit: Fit = ONCE, references: int = 1) -> float:
    """The Dice that results of such an overlap had on average; 0 stays 0.

    Args:
        overlap: in [0, 1].
        fit: the fit that turns it into a Dice.
        references: how many took part, at least 1.
    """
    if overlap <= 0:
        return 0.0
    kept = min(max(overlap, LEAST), MOST)
    odds = fit.slope * log(kept / (1 - kept)) + fit.per_reference * log(references)
    return 1 / (1 + exp(-fit.intercept - odds))


def expected_dice(logits: Tensor) -> float:
    """The Dice to expect of a class (D, H, W) by one pass and one reference; 0 for an empty mask."""
    return dice_from_overlap(soft_overlap(logits))


def dice_from_overlap(overlap: float, pass_dice: float | None = None, references: int = 1) -> float:
    """The Dice to expect of a class; an estimate.

    Args:
        overlap: `soft_overlap` of its logits.
        pass_dice: Dice between the results of two passes; None: there was one pass.
        references: how many took part, at least 1.
    """
    if pass_dice is None or overlap == 0:
        return round(calibrated(overlap, ONCE, references), 4)
    return round(calibrated(max(overlap * pass_dice, LEAST), TWICE, references), 4)
