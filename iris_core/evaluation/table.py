"""The summary as text: a row a class, then a row a method."""

from __future__ import annotations

from iris_core.evaluation.measurement import COPY, MODEL
from iris_core.evaluation.methods import ClassFigures, MethodFigures
from iris_core.evaluation.summary import Summary
from iris_core.metrics import Interval

WIDTH = 13  # of a mean with its spread


def table(summary: Summary) -> str:
    """The summary as text.

    Per class: mean Dice and standard deviation over pairs of each method. Per method: the same over queries;
    the model's difference with its interval; the voxels given to absent classes; seconds and memory.
    """
    return "\n".join([*_class_rows(summary), "", *_method_rows(summary), *_notes(summary)])


def _class_rows(summary: Summary) -> list[str]:
    methods = list(summary.methods) or [MODEL, COPY]
    wide = {name: max(WIDTH, len(name)) for name in methods}
    width = max([len("class"), *(len(entry.name) for entry in summary.classes)])
    heads = "".join(f"  {name:>{wide[name]}}" for name in methods)
    rows = [f"{'class':<{width}}{heads}  pairs  absent but predicted"]
    for entry in summary.classes:
        cells = ""
        for name in methods:
            figures = summary.methods[name].classes[entry.name] if name in summary.methods else None
            cells += f"  {_with_spread(figures):>{wide[name]}}"
        false = f"{entry.false_positive_pairs} ({entry.false_positive_voxels} voxels)"
        rows.append(
            f"{entry.name:<{width}}{cells}  {entry.pairs:5d}  {false if entry.false_positive_pairs else '-'}"
        )
    return rows


def _method_rows(summary: Summary) -> list[str]:
    width = max([len("mean over queries"), *map(len, summary.methods)])
    rows = [
        f"{'mean over queries':<{width}}  {'Dice':>{WIDTH}}  {MODEL + ' minus it, 95 % interval':>32}"
        f"  {'absent':>8}  {'seconds':>8}  {'peak MB':>8}  failed"
    ]
    for name, figures in summary.methods.items():
        rows.append(
            f"{name:<{width}}  {_with_spread(figures):>{WIDTH}}  {_gain(figures.model_gain):>32}"
            f"  {_plain(figures.absent_share, 2, 100, ' %'):>8}  {_plain(figures.seconds, 2):>8}"
            f"  {_plain(figures.peak_mb, 0):>8}  {figures.failures or '-'}"
        )
    return rows


def _notes(summary: Summary) -> list[str]:
    notes = []
    if summary.dice:
        notes.append(f"{summary.pairs} pairs, {summary.dice.units} independent queries; Dice with its spread")
    if any(figures.absent_share is not None for figures in summary.methods.values()):
        notes.append("absent: given to classes that the query lacks, share of their volume in the references")
    if summary.estimate_error is not None:
        notes.append(f"expected Dice: {summary.estimate_error:.3f} from the true one, on average")
    notes.append(
        f"seconds: {summary.encode_seconds:.2f} to encode a reference set, "
        f"{summary.segment_seconds:.2f} to segment a query"
    )
    if summary.failures:
        notes.append(f"failed, counted as 0: {len(summary.failures)}")
    return notes


def _with_spread(figures: ClassFigures | MethodFigures | None) -> str:
    if figures is None or figures.dice is None:
        return "-"
    dice = figures.dice
    mean = dice.mean if isinstance(dice, Interval) else dice
    return f"{mean:.3f}" if figures.spread is None else f"{mean:.3f} ±{figures.spread:.3f}"


def _gain(gain: Interval | None) -> str:
    return "-" if gain is None else f"{gain.mean:+.3f}, {gain.low:+.3f} to {gain.high:+.3f}"


def _plain(value: float | None, digits: int, times: int = 1, unit: str = "") -> str:
    return "-" if value is None else f"{times * value:.{digits}f}{unit}"
