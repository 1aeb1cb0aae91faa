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
        pairs: number of those pairs.
        false_positive_pairs: pairs whose truth lacks the class but whose result has it.
        false_positive_voxels: voxels of the class in those pairs, in all.
    """

    name: str
    dice: float | None
    copied: float | None
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
        classes: one entry a class.
        pairs: number of measured pairs.
        failures: what went wrong, a sentence each.
        encode_seconds: mean time a reference set.
        segment_seconds: mean time a query, failures left out.
    """

    dice: Interval | None
    copied: Interval | None
    difference: Interval | None
    classes: tuple[ClassSummary, ...]
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
        classes=tuple(_class_summary(name, value, measurement.pairs) for value, name in names.items()),
        pairs=len(counted),
        failures=failures,
        encode_seconds=float(np.mean(measurement.encode_seconds)) if measurement.encode_seconds else 0.0,
        segment_seconds=float(np.mean(ok)) if ok else 0.0,
    )


def table(summary: Summary) -> str:
    """Gives the summary as text: a row a class, then the means, the interval and the times."""
    width = max([len("class"), len("mean over queries"), *(len(entry.name) for entry in summary.classes)])
    lines = [f"{'class':<{width}}   Dice   copy   diff  pairs  absent but predicted"]
    for entry in summary.classes:
        difference = None if entry.dice is None or entry.copied is None else entry.dice - entry.copied
        false = f"{entry.false_positive_pairs} ({entry.false_positive_voxels} voxels)"
        lines.append(
            f"{entry.name:<{width}}  {_number(entry.dice)}  {_number(entry.copied)} {_signed(difference)}"
            f"  {entry.pairs:5d}  {false if entry.false_positive_pairs else '-'}"
        )
    lines.append("-" * len(lines[0]))
    if summary.dice and summary.copied and summary.difference:
        lines.append(
            f"{'mean over queries':<{width}}  {_number(summary.dice.mean)}  {_number(summary.copied.mean)} "
            f"{_signed(summary.difference.mean)}  {summary.pairs:5d}"
        )
        low, high = _signed(summary.difference.low).strip(), _signed(summary.difference.high).strip()
        units = f"{summary.difference.units} independent queries"
        lines.append(f"difference to copy-prompt: 95 % interval {low} to {high} ({units})")
    lines.append(
        f"seconds: {summary.encode_seconds:.2f} to encode a reference set, "
        f"{summary.segment_seconds:.2f} to segment a query"
    )
    if summary.failures:
        lines.append(f"failed, counted as 0: {len(summary.failures)}")
    return "\n".join(lines)


def _interval(pairs: Sequence[Pair], values: Sequence[float], seed: int) -> Interval | None:
    if not pairs:
        return None
    return bootstrap_interval(values, seed=seed, units=[pair.group for pair in pairs])


def _class_summary(name: str, value: int, pairs: Sequence[Pair]) -> ClassSummary:
    dice, copied = _dice_of(value, [p.scores for p in pairs]), _dice_of(value, [p.copied for p in pairs])
    false = [p.scores[value].false_positive_voxels for p in pairs if value in p.scores]
    return ClassSummary(
        name=name,
        dice=float(np.mean(dice)) if dice else None,
        copied=float(np.mean(copied)) if copied else None,
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
