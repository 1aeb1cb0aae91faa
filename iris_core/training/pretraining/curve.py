"""The picture of a run: control figures over hours, a panel for each set of control episodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

FIGURES = ("own", "warped", "tokens", "swapped", "rolled", "absent")


def control_sets(line: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The control figures in a line of the log, by the name of their set."""
    return {name: one for name, one in line.items() if isinstance(one, dict) and "own" in one}


def draw_curve(lines: Sequence[dict[str, Any]], picture: Path) -> None:
    """Draws the log of a run as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(control_sets(lines[-1]))
    figure, axes = pyplot.subplots(1, len(names), figsize=(5 * len(names), 4), sharey=True, squeeze=False)
    for name, axis in zip(names, axes[0], strict=True):
        measured = [(line["hours"], line[name]) for line in lines if name in line]
        for number, key in enumerate(FIGURES):
            pairs = [(hours, one[key]) for hours, one in measured if key in one]
            if pairs:
                axis.plot(*zip(*pairs, strict=True), marker=".", color=f"C{number}", label=key)
        axis.axhline(lines[-1][name]["copy"], color="grey", linestyle=":", label="copy")
        axis.set(title=f"{name} control set, Dice", xlabel="hours", ylim=(0, 1))
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, dpi=80)
    pyplot.close(figure)
