"""How well a label map agrees with the truth: Dice per class, false positives, bootstrap intervals."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.errors import InputError

RESAMPLES, ENDS = 10_000, (0.025, 0.975)  # draws of the bootstrap, and the quantiles that end its interval


@dataclass(frozen=True)
class ClassScore:
    """One class in one volume, compared voxel by voxel.

    Attributes:
        truth_voxels: voxels of the class in the truth.
        result_voxels: voxels of the class in the result.
        shared_voxels: voxels where both agree.
    """

    truth_voxels: int
    result_voxels: int
    shared_voxels: int

    @property
    def dice(self) -> float | None:
        """Dice in [0, 1]; None where the truth lacks the class, because Dice has no meaning then."""
        if self.truth_voxels == 0:
            return None
        return 2.0 * self.shared_voxels / (self.truth_voxels + self.result_voxels)

    @property
    def false_positive_voxels(self) -> int:
        """Voxels given to a class that the truth lacks; 0 where the truth has the class."""
        return self.result_voxels if self.truth_voxels == 0 else 0


@dataclass(frozen=True)
class Interval:
    """A mean with its percentile bootstrap interval.

    Attributes:
        mean: mean over the units.
        low: lower end of the interval.
        high: upper end of the interval.
        units: number of units that were resampled.
    """

    mean: float
    low: float
    high: float
    units: int


def dice(truth: np.ndarray, result: np.ndarray) -> float:
    """Dice of two masks of one shape, nonzero inside: 2 |A and B| / (|A| + |B|); nan where both are empty.

    Raises:
        InputError: the shapes differ.
    """
    score = dice_per_class(truth != 0, result != 0, [1])[1]
    total = score.truth_voxels + score.result_voxels
    return float("nan") if total == 0 else 2.0 * score.shared_voxels / total


def dice_per_class(
    truth: np.ndarray,
    result: np.ndarray,
    values: Sequence[int],
    unknown: Callable[[int], np.ndarray | None] | None = None,
) -> dict[int, ClassScore]:
    """Value -> score of two integer label maps of one shape, for each of some label values.

    Args:
        truth: any shape.
        result: the same shape.
        values: of the classes.
        unknown: value -> (I, J, K) bool, voxels that do not count since the truth leaves them unknown; None:
            all voxels count.

    Raises:
        InputError: the shapes differ.
    """
    if truth.shape != result.shape:
        raise InputError("two masks to compare differ in shape", expected=truth.shape, found=result.shape)
    scores = {}
    for value in values:
        in_truth, in_result = truth == value, result == value
        if unknown is not None and (hidden := unknown(value)) is not None:
            in_truth, in_result = in_truth & ~hidden, in_result & ~hidden
        scores[int(value)] = ClassScore(
            truth_voxels=int(np.count_nonzero(in_truth)),
            result_voxels=int(np.count_nonzero(in_result)),
            shared_voxels=int(np.count_nonzero(in_truth & in_result)),
        )
    return scores


def mean_dice(scores: Mapping[int, ClassScore]) -> float | None:
    """The mean Dice over the classes that the truth contains; None where it contains none of them."""
    counted = [score.dice for score in scores.values() if score.dice is not None]
    return float(np.mean(counted)) if counted else None


def bootstrap_interval(
    values: Sequence[float],
    *,
    seed: int,
    units: Sequence[Hashable] | None = None,
) -> Interval:
    """The mean and its percentile bootstrap interval, which covers 95 %.

    Values of one unit (a query that several references were tried on, a patient with several scans) are not
    independent: their mean is taken first, and the units are resampled. One unit gives an interval of no
    width.

    Args:
        values: one number a measurement.
        seed: makes the interval repeatable.
        units: the unit of each measurement; None: each measurement is a unit of its own.

    Raises:
        InputError: there are no values, or not one unit a value.
    """
    units = list(range(len(values))) if units is None else list(units)
    if len(values) == 0 or len(units) != len(values):
        raise InputError(
            "no bootstrap without one unit a value",
            expected="at least one value",
            found=f"{len(values)} values, {len(units)} units",
        )
    members: dict[Hashable, list[float]] = {}
    for unit, value in zip(units, values, strict=True):
        members.setdefault(unit, []).append(float(value))
    means = np.array([np.mean(member) for member in members.values()])
    draws = np.random.default_rng(seed).integers(0, len(means), size=(RESAMPLES, len(means)))
    low, high = np.quantile(means[draws].mean(axis=1), ENDS)
    return Interval(mean=float(means.mean()), low=float(low), high=float(high), units=len(means))
