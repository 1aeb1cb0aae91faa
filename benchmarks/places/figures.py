"""The figures of the bench: right places and Dice there, kept apart, and whether wrong places are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.places.judge import Verdict
from iris_core.metrics import bootstrap_interval

BAD = 0.3  # true Dice under which a result is useless
TRUSTED = 0.6  # expected Dice above which a person would trust it


def table(verdicts: Sequence[Verdict]) -> str:
    """Markdown: a row a group, then the rows over all groups by visibility of the place."""
    lines = [
        "| group | cases | right place | cases all right | Dice where right | Dice |",
        "|---|---|---|---|---|---|",
    ]
    for group in dict.fromkeys(v.group for v in verdicts):
        lines.append(_row(group, [v for v in verdicts if v.group == group]))
    for name, visible in (("**place visible**", True), ("place not visible", False)):
        chosen = [v for v in verdicts if v.place_is_visible is visible]
        if chosen:
            lines.append(_row(name, chosen))
    return "\n".join(lines)


def known_when_wrong(verdicts: Sequence[Verdict]) -> dict[str, float | int | None]:
    """How well expected Dice tells useless results.

    Returns:
        auroc: of expected Dice for "true Dice at least 0.3"; None where one side is empty.
        overrated: share of the useless results that are expected above 0.6; None without any.
        useless: their number.
        absent_share: mean volume given to structures that the query lacks, over the reference's.
    """
    shown = [v for v in verdicts if v.present]
    bad = [v.expected for v in shown if v.dice < BAD]
    good = [v.expected for v in shown if v.dice >= BAD]
    absent = [v.share for v in verdicts if not v.present]
    return {
        "auroc": auroc(good, bad) if good and bad else None,
        "overrated": float(np.mean(np.asarray(bad) > TRUSTED)) if bad else None,
        "useless": len(bad),
        "absent_share": float(np.mean(absent)) if absent else None,
    }


def auroc(above: Sequence[float], below: Sequence[float]) -> float:
    """The chance that a value of the first kind lies above one of the second; ties count one half."""
    one, other = np.asarray(above)[:, None], np.asarray(below)[None]
    return float(np.mean((one > other) + 0.5 * (one == other)))


def _row(name: str, verdicts: Sequence[Verdict]) -> str:
    shown = [v for v in verdicts if v.present]
    cases = list(dict.fromkeys(v.case for v in shown))
    right = [v for v in shown if v.placed]
    whole = np.mean([all(v.placed for v in shown if v.case == case) for case in cases])
    rate = bootstrap_interval([float(v.placed) for v in shown], units=[v.case for v in shown], seed=0)
    there = f"{np.mean([v.dice for v in right]):.3f}" if right else "-"
    overall = np.mean([v.dice for v in shown])
    spread = f"{rate.mean:.3f}, {rate.low:.3f} to {rate.high:.3f}"
    return f"| {name} | {len(cases)} | {spread} | {whole:.3f} | {there} | {overall:.3f} |"
