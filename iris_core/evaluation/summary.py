"""From pairs to figures: means per class and in all, the interval of the difference, and a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.evaluation.measurement import Measurement, Pair
from iris_core.metrics import Interval, bootstrap_interval


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
    return Summary(
        dice=_interval(counted, [pair.dice for pair in counted], seed),
        copied=_interval(counted, [pair.copied_dice for pair in counted], seed),
        difference=_interval(counted, [pair.dice - pair.copied_dice for pair in counted], seed),
        peers={
            peer: (
                _interval(counted, [pair.peer_dice(peer) or 0.0 for pair in counted], seed),
                _interval(counted, [pair.dice - (pair.peer_dice(peer) or 0.0) for pair in counted], seed),
            )
            for peer in _peers(measurement)
        },
        classes=tuple(_class_summary(name, value, measurement.pairs) for value, name in names.items()),
        estimate_error=_estimate_error(counted, names),
        pairs=len(counted),
        failures=failures,
        encode_seconds=float(np.mean(measurement.encode_seconds)) if measurement.encode_seconds else 0.0,
        segment_seconds=float(np.mean(ok)) if ok else 0.0,
    )


def table(summary: Summary) -> str:
    """Gives the summary as text: a row a class, then the means, the interval and the times."""
    width = max([len("class"), len("mean over queries"), *(len(entry.name) for entry in summary.classes)])
    peers = list(summary.peers)
    heads = "".join(f"  {peer:>{_wide(peer)}}" for peer in peers)
    lines = [f"{'class':<{width}}   Dice   copy   diff{heads}  pairs  absent but predicted"]
    for entry in summary.classes:
        difference = None if entry.dice is None or entry.copied is None else entry.dice - entry.copied
        false = f"{entry.false_positive_pairs} ({entry.false_positive_voxels} voxels)"
        others = "".join(f"  {_number(entry.peers[peer]):>{_wide(peer)}}" for peer in peers)
        lines.append(
            f"{entry.name:<{width}}  {_number(entry.dice)}  {_number(entry.copied)} {_signed(difference)}"
            f"{others}  {entry.pairs:5d}  {false if entry.false_positive_pairs else '-'}"
        )
    lines.append("-" * len(lines[0]))
    if summary.dice and summary.copied and summary.difference:
        means = {peer: own.mean for peer, (own, _) in summary.peers.items() if own}
        others = "".join(f"  {_number(means.get(peer)):>{_wide(peer)}}" for peer in peers)
        lines.append(
            f"{'mean over queries':<{width}}  {_number(summary.dice.mean)}  {_number(summary.copied.mean)} "
            f"{_signed(summary.difference.mean)}{others}  {summary.pairs:5d}"
        )
        lines.append(_against("copy-prompt", summary.difference))
        lines += [_against(peer, gap) for peer, (_, gap) in summary.peers.items() if gap]
    if summary.estimate_error is not None:
        lines.append(f"expected Dice: {summary.estimate_error:.3f} from the true one, on average")
    lines.append(
        f"seconds: {summary.encode_seconds:.2f} to encode a reference set, "
        f"{summary.segment_seconds:.2f} to segment a query"
    )
    if summary.failures:
        lines.append(f"failed, counted as 0: {len(summary.failures)}")
    return "\n".join(lines)


def _against(peer: str, difference: Interval) -> str:
    low, high = _signed(difference.low).strip(), _signed(difference.high).strip()
    return f"difference to {peer}: 95 % interval {low} to {high} ({difference.units} independent queries)"


def _wide(peer: str) -> int:
    return max(5, len(peer))


def _peers(measurement: Measurement) -> list[str]:
    return list(dict.fromkeys(peer for pair in measurement.pairs for peer in pair.peers))


def _estimate_error(pairs: Sequence[Pair], names: Mapping[int, str]) -> float | None:
    gaps = [
        abs(pair.expected[names[value]] - score.dice)
        for pair in pairs
        for value, score in pair.scores.items()
        if score.dice is not None and names[value] in pair.expected
    ]
    return float(np.mean(gaps)) if gaps else None


def _interval(pairs: Sequence[Pair], values: Sequence[float], seed: int) -> Interval | None:
    if not pairs:
        return None
    return bootstrap_interval(values, seed=seed, units=[pair.group for pair in pairs])


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


def _number(value: float | None) -> str:
    return "    -" if value is None else f"{value:5.3f}"


def _signed(value: float | None) -> str:
    return "     -" if value is None else f"{value:+6.3f}"
