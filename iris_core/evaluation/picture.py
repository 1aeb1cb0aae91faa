"""The picture of a run: every pair's Dice as a dot, by class and method, with the means as bars."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from iris_core.evaluation.measurement import Measurement
from iris_core.volume_io import atomic_path

STRIP = 0.8  # of the room between two classes
MOST = 60  # inches


def draw_picture(measurement: Measurement, names: Mapping[int, str], path: str | Path, *, title: str) -> None:
    """Draws a strip plot of all pairs into a PNG file, whole or not at all; a failed pair stands at 0."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pairs = [pair for pair in measurement.pairs if pair.scores]
    methods = list(dict.fromkeys(name for pair in pairs for name in pair.scores))
    size = (min(MOST, 2.5 + 0.35 * len(names) * max(1, len(methods))), 4)
    figure, axis = pyplot.subplots(figsize=size)
    rng = np.random.default_rng(0)
    step = STRIP / max(1, len(methods))
    for number, method in enumerate(methods):
        colour = f"C{number}"
        for place, value in enumerate(names):
            scores = [pair.scores[method].get(value) for pair in pairs]
            dice = [score.dice for score in scores if score is not None and score.dice is not None]
            if dice:
                middle = place + (number + 0.5) * step - STRIP / 2
                spread = rng.uniform(-0.25, 0.25, len(dice)) * step
                axis.bar(middle, np.mean(dice), 0.9 * step, color=colour, alpha=0.3)
                axis.plot(middle + spread, dice, ".", color=colour, markersize=4, clip_on=False)
        axis.bar(0, 0, color=colour, alpha=0.6, label=method)
    axis.set(ylim=(0, 1), ylabel="Dice", title=title, xlim=(-0.6, len(names) - 0.4))
    axis.set_xticks(
        range(len(names)), list(names.values()), rotation=30 if len(names) > 3 else 0, ha="center"
    )
    if methods:
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.tight_layout()
    with atomic_path(path) as hidden:
        figure.savefig(hidden, dpi=90, format="png")
    pyplot.close(figure)
