"""What an analysis leaves: a JSON record with the conditions it ran under, and tables in Markdown."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from iris_core.metrics import Interval, bootstrap_interval
from iris_core.volume_io import atomic_path

SEED = 0  # of bootstrap intervals


def conditions(**more: object) -> dict[str, object]:
    """Date, machine and versions, and what the caller adds."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
        "python": platform.python_version(),
        **more,
    }


def write_record(record: Mapping[str, object], path: Path) -> None:
    """Writes a record as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as place:
        place.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def interval(values: Sequence[float], units: Sequence[Hashable]) -> Interval:
    """Mean and 95 % bootstrap interval over the units (queries)."""
    return bootstrap_interval(values, seed=SEED, units=units)


def paired(rows: Iterable[Mapping], others: Iterable[Mapping], keys: Sequence[str], value: str) -> Interval:
    """Interval of the difference between rows and others that agree in `keys`, over the queries.

    Args:
        rows: with `keys`, `value` and "query".
        others: to be taken away.
        keys: that make a pair.
        value: the figure.
    """
    other = {tuple(row[key] for key in keys): row[value] for row in others}
    pairs = [
        (row[value] - other[key], row["query"])
        for row in rows
        if (key := tuple(row[k] for k in keys)) in other
    ]
    return interval([difference for difference, _ in pairs], [query for _, query in pairs])


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; floats with three decimals."""

    def cell(value: object) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = [list(head), ["---"] * len(head), *([cell(v) for v in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spoken(found: Interval, *, signed: bool = False) -> str:
    """An interval in words: "0.794 (0.771 to 0.812)"."""
    form = "+.3f" if signed else ".3f"
    return f"{found.mean:{form}} ({found.low:{form}} to {found.high:{form}})"
