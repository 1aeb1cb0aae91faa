"""The picture of a run: loss and control figures over minutes, from log.jsonl."""

from __future__ import annotations

import json
from pathlib import Path

FIGURES = ("own", "warped", "tokens", "swapped", "rolled", "absent")


def draw_curve(log: Path, picture: Path) -> None:
    """Draws log.jsonl as a PNG.

    Args:
        log: one JSON object a line, as the run writes them.
        picture: PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    minutes = [row["minutes"] for row in rows]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4))
    left.plot(minutes, [row["loss"] for row in rows], color="black")
    left.set(title="training loss", xlabel="minutes")
    for name in FIGURES:
        pairs = [(row["minutes"], row[name]) for row in rows if name in row]
        if pairs:
            right.plot(*zip(*pairs, strict=True), label=name)
    copies = [row["copy"] for row in rows if "copy" in row]
    if copies:
        right.axhline(copies[-1], color="grey", linestyle=":", label="copy")
    right.set(title="synthetic control episodes, Dice", xlabel="minutes", ylim=(0, 1))
    right.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(picture, dpi=80)
    pyplot.close(figure)
