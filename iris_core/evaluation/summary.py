"""From pairs to figures: means per class and in all, and the interval of the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.evaluation.measurement import COPY, MODEL, Measurement, Pair
from iris_core.evaluation.methods import MethodFigures, method_figures
from iris_core.metrics import Interval


@dataclass(frozen=True)
class ClassSummary:
    """One class over all pairs; a Dice is None when no truth held the class.

    Attributes:
        name: class name.
        dice: mean Dice of the model over the pairs whose truth holds the class.
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
        peers: per other peer its mean and the model's minus its, as above.
        classes: one entry a class.
        estimate_error: mean distance of expected from true Dice, over classes that the truth holds; None
            where nothing was expected.
        pairs: number of measured pairs.
        failures: what went wrong, a sentence each.
        encode_seconds: mean time a reference set.
        segment_seconds: mean time a query, failures left out.
        methods: per method, the model among them, all figures.
        peer_failures: what went wrong with a peer, a sentence each.
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
    """Sums up a run.

    Args:
        measurement: all pairs.
        names: value -> class name, in the order of the table.
        seed: seed of the bootstrap.
    """
    counted = [pair for pair in measurement.pairs if pair.dice is not None and pair.copied_dice is not None]
    ok = [pair.seconds for pair in measurement.pairs if pair.failure is None]
    failures = tuple(f"{pair.query}: {pair.failure}" for pair in measurement.pairs if pair.failure)
    methods = method_figures(measurement, names, seed=seed)
    peers = {name: found for name, found in methods.items() if name not in (MODEL, COPY)}
    return Summary(
        dice=methods[MODEL].dice if methods else None,
        copied=methods[COPY].dice if methods else None,
        difference=methods[COPY].model_gain if methods else None,
        peers={name: (found.dice, found.model_gain) for name, found in peers.items()},
        classes=tuple(_class_summary(name, value, measurement.pairs) for value, name in names.items()),
        estimate_error=_estimate_error(counted, names),
        pairs=len(counted),
        failures=failures,
        encode_seconds=float(np.mean(measurement.encode_seconds)) if measurement.encode_seconds else 0.0,
        segment_seconds=float(np.mean(ok)) if ok else 0.0,
        methods=methods,
        peer_failures=tuple(
            f"{peer}: {why}" for pair in measurement.pairs for peer, why in pair.peer_failures.items()
        ),
    )


def _estimate_error(pairs: Sequence[Pair], names: Mapping[int, str]) -> float | None:
    gaps = [
        abs(pair.expected[names[value]] - score.dice)
        for pair in pairs
        for value, score in pair.scores.items()
        if score.dice is not None and names[value] in pair.expected
    ]
    return float(np.mean(gaps)) if gaps else None


def _class_summary(name: str, value: int, pairs: Sequence[Pair]) -> ClassSummary:
    dice, copied = _dice_of(value, [p.scores for p in pairs]), _dice_of(value, [p.copied for p in pairs])
    others = dict.fromkeys(peer for pair in pairs for peer in pair.peers)
    carried = {peer: _dice_of(value, [p.peers.get(peer, {}) for p in pairs]) for peer in others}
    false = [p.scores[value].false_positive_voxels for p in pairs if value in p.scores]
    return ClassSummary(
        name=name,
        dice=float(np.mean(dice)) if dice else None,
        copied=float(np.mean(copied)) if copied else None,
        peers={peer: float(np.mean(found)) if found else None for peer, found in carried.items()},
        pairs=len(dice),
        false_positive_pairs=sum(voxels > 0 for voxels in false),
        false_positive_voxels=sum(false),
    )


def _dice_of(value: int, scores: Sequence[Mapping]) -> list[float]:
    return [entry[value].dice for entry in scores if value in entry and entry[value].dice is not None]
