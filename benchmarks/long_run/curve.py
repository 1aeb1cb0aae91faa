"""The picture of the run: control figures over worker hours, on both sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.control_episodes import SETS

FIGURES = ("own", "warped", "tokens", "swapped", "rolled", "absent")


def draw_curve(lines: Sequence[dict], picture: Path) -> None:
    """Draws the log of a run as a PNG.

    Args:
        lines: as the worker writes them, one a worker hour.
        picture: PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(SETS), figsize=(10, 4), sharey=True)
    hours = [line["hours"] for line in lines]
    for name, axis in zip(SETS, axes, strict=True):
        for number, key in enumerate(FIGURES):
            values = [line[name][key] for line in lines]
            axis.plot(hours, values, marker=".", color=f"C{number}", label=key)
        axis.axhline(lines[-1][name]["copy"], color="grey", linestyle=":", label="copy")
        axis.set(title=f"{name} control set, Dice", xlabel="worker hours", ylim=(0, 1))
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, dpi=80)
    pyplot.close(figure)
