"""From pairs to figures: means per class and in all, and the interval of the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iris_core.evaluation.measurement import COPY, MODEL, Measurement, Pair
from iris_core.evaluation.methods import MethodFigures, mean_or_none, method_figures
from iris_core.metrics import Interval


@dataclass(frozen=True)
class ClassSummary:
    """One class over all pairs; a Dice is None when no truth contains the class.

    Attributes:
        name: class name.
        dice: mean Dice of the model over the pairs whose truth contains the class.
        copied: the same for copy-prompt.
        peers: the same for every other peer, by name.
        pairs: number of those pairs.
        false_positive_pairs: pairs whose truth lacks the class but whose result has it.
        false_positive_voxels: voxels of the class in those pairs, in all.
    """

    name: str
    dice: float | None
    copied: float | None
    peers: dict[str, float | None]
    pairs: int
    false_positive_pairs: int
    false_positive_voxels: int


@dataclass(frozen=True)
class Summary:
    """The whole run. A pair's Dice is the mean over its classes; failures count as 0.

    Attributes:
        dice: model, mean over queries with its 95 % bootstrap interval over queries; None without any pair.
        copied: the same for copy-prompt.
        difference: the same for model minus copy-prompt, pair by pair.
        peers: per other peer its mean, and the model's minus its own, as above.
        classes: one entry a class.
        estimate_error: mean distance of expected from true Dice, over classes that the truth contains; None
            where nothing was expected.
        pairs: number of measured pairs.
        failures: failures of the model, a sentence each.
        encode_seconds: mean time a reference set.
        segment_seconds: mean time a query, failures left out.
        methods: per method, the model among them, all figures.
        peer_failures: failures of peers, a sentence each.
    """

    dice: Interval | None
    copied: Interval | None
    difference: Interval | None
    peers: dict[str, tuple[Interval | None, Interval | None]]
    classes: tuple[ClassSummary, ...]
    estimate_error: float | None
    pairs: int
    failures: tuple[str, ...]
    encode_seconds: float
    segment_seconds: float
    methods: dict[str, MethodFigures]
    peer_failures: tuple[str, ...] = ()


def summarise(measurement: Measurement, names: Mapping[int, str], *, seed: int = 0) -> Summary:
    """Sums up a run; `names` are those of the classes by value, `seed` is that of the bootstrap."""
    pairs = measurement.pairs
    counted = [pair for pair in pairs if pair.dice() is not None]
    failures = [(pair, method, why) for pair in pairs for method, why in pair.failures.items()]
    methods = method_figures(measurement, names, seed=seed)
    return Summary(
        dice=methods[MODEL].dice if methods else None,
        copied=methods[COPY].dice if methods else None,
        difference=methods[COPY].model_gain if methods else None,
        peers={
            name: (own.dice, own.model_gain) for name, own in methods.items() if name not in (MODEL, COPY)
        },
        classes=tuple(_class_summary(name, value, methods, pairs) for value, name in names.items()),
        estimate_error=_estimate_error(counted, names),
        pairs=len(counted),
        failures=tuple(f"{pair.query}: {why}" for pair, method, why in failures if method == MODEL),
        encode_seconds=mean_or_none([cost.seconds or 0.0 for cost in measurement.encoding]) or 0.0,
        segment_seconds=mean_or_none([pair.seconds for pair in pairs if MODEL not in pair.failures]) or 0.0,
        methods=methods,
        peer_failures=tuple(f"{method}: {why}" for _, method, why in failures if method != MODEL),
    )


def _estimate_error(pairs: Sequence[Pair], names: Mapping[int, str]) -> float | None:
    return mean_or_none([
        abs(pair.expected[names[value]] - score.dice)
        for pair in pairs
        for value, score in pair.scores[MODEL].items()
        if score.dice is not None and names[value] in pair.expected
    ])  # fmt: skip


def _class_summary(
    name: str, value: int, methods: Mapping[str, MethodFigures], pairs: Sequence[Pair]
) -> ClassSummary:
    dice = {method: figures.classes[name].dice for method, figures in methods.items()}
    scores = [pair.scores[MODEL][value] for pair in pairs if value in pair.scores.get(MODEL, {})]
    false = [score.false_positive_voxels for score in scores]
    return ClassSummary(
        name=name,
        dice=dice.get(MODEL),
        copied=dice.get(COPY),
        peers={method: own for method, own in dice.items() if method not in (MODEL, COPY)},
        pairs=sum(score.dice is not None for score in scores),
        false_positive_pairs=sum(voxels > 0 for voxels in false),
        false_positive_voxels=sum(false),
    )
