"""Per method, the model among them: Dice with spread and interval, false positives, seconds, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.evaluation.cost import Cost
from iris_core.evaluation.measurement import MODEL, Measurement, Pair
from iris_core.metrics import Interval, bootstrap_interval


@dataclass(frozen=True)
class ClassFigures:
    """One class, one method.

    Attributes:
        dice: mean over the pairs whose truth contains the class; None without any.
        spread: standard deviation over those pairs.
        pairs: their number.
        absent_pairs: pairs whose truth lacks the class.
        absent_share: voxels that the method gives to the class in such a pair, as a share of the class's mean
            volume in the pair's references; mean over those pairs, None without any.
    """

    dice: float | None
    spread: float | None
    pairs: int
    absent_pairs: int
    absent_share: float | None


@dataclass(frozen=True)
class MethodFigures:
    """One method over all pairs; a failed pair counts as an empty result.

    Attributes:
        dice: mean over queries with its 95 % bootstrap interval over queries; None without any pair.
        spread: standard deviation over pairs.
        model_gain: the model's Dice minus this method's, pair by pair, with its interval; None for the model.
        absent_share: as in `ClassFigures`, over all classes.
        absent_worst: the largest of these shares.
        seconds: mean time to segment a query; None where it is not known.
        peak_mb: largest memory of the process, MB; for the model the encoding included.
        failures: pairs without a result.
        classes: class name -> its figures.
    """

    dice: Interval | None
    spread: float | None
    model_gain: Interval | None
    absent_share: float | None
    absent_worst: float | None
    seconds: float | None
    peak_mb: float | None
    failures: int
    classes: dict[str, ClassFigures]


def method_figures(
    measurement: Measurement, names: Mapping[int, str], *, seed: int
) -> dict[str, MethodFigures]:
    """Method -> its figures over all pairs of a run; `names` are those of the classes, by value."""
    pairs = [pair for pair in measurement.pairs if pair.scores]
    methods = dict.fromkeys(name for pair in pairs for name in pair.scores)
    return {name: _of_method(name, pairs, measurement.encoding, names, seed) for name in methods}


def absent_shares(pair: Pair, method: str) -> dict[int, float]:
    """Value -> voxels given to a class that the query lacks, as a share of its usual volume."""
    return {
        value: score.false_positive_voxels / pair.usual[value]
        for value, score in pair.scores[method].items()
        if score.truth_voxels == 0 and pair.usual.get(value)
    }


def mean_or_none(values: Sequence[float]) -> float | None:
    """The mean; None where there are no values."""
    return float(np.mean(values)) if values else None


def _of_method(
    name: str, pairs: Sequence[Pair], encoding: Sequence[Cost], names: Mapping[int, str], seed: int
) -> MethodFigures:
    counted = [pair for pair in pairs if pair.dice() is not None]
    own = [pair.dice(name) or 0.0 for pair in counted]
    gain = [(pair.dice() or 0.0) - mine for pair, mine in zip(counted, own, strict=True)]
    shares = [share for pair in pairs for share in absent_shares(pair, name).values()]
    costs = [pair.costs[name] for pair in pairs if name in pair.costs]
    peaks = [cost.peak_mb for cost in (*costs, *(encoding if name == MODEL else ()))]
    return MethodFigures(
        dice=_interval(counted, own, seed),
        spread=_spread(own),
        model_gain=None if name == MODEL else _interval(counted, gain, seed),
        absent_share=mean_or_none(shares),
        absent_worst=max(shares, default=None),
        seconds=mean_or_none([cost.seconds for cost in costs if cost.seconds is not None]),
        peak_mb=max((peak for peak in peaks if peak is not None), default=None),
        failures=sum(name in pair.failures for pair in pairs),
        classes={text: _of_class(name, value, pairs) for value, text in names.items()},
    )


def _of_class(method: str, value: int, pairs: Sequence[Pair]) -> ClassFigures:
    scores = [pair.scores[method][value] for pair in pairs if value in pair.scores[method]]
    dice = [score.dice for score in scores if score.dice is not None]
    shares = [found[value] for pair in pairs if value in (found := absent_shares(pair, method))]
    return ClassFigures(mean_or_none(dice), _spread(dice), len(dice), len(shares), mean_or_none(shares))


def _spread(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _interval(pairs: Sequence[Pair], values: Sequence[float], seed: int) -> Interval | None:
    return bootstrap_interval(values, seed=seed, units=[pair.group for pair in pairs]) if pairs else None
