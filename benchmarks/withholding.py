"""What a bar on the expected Dice keeps from people.

True against expected Dice, for right and for wrong references:

    python -m benchmarks.withholding REFERENCES=QUERIES [...] [--references N] [--queries N] [--json FILE]

REFERENCES and QUERIES are sets as benchmarks.analyses reads them (a folder in nnU-Net's raw layout,
phantom-ct, phantom-mr, each with an optional range such as FOLDER:1-30). Where the queries are another set
than the references, a class that the query's labels do not name is taken to be absent: its true Dice is 0 and
any voxel of it is nonsense. Prints, for each bar, how much nonsense it withholds and how much good it costs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks.analyses.bench.studies import Study, open_studies
from iris_core.checkpoint import load_model
from iris_core.metrics import dice
from iris_core.preprocessing.modality import detect_modality
from iris_core.segmenter import Segmenter
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task

BARS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
BAD, GOOD = 0.3, 0.6  # true Dice: below the first nobody wants a result, from the second on everybody does


def compared(segmenter: Segmenter, task: Task, query: Study, reference: Study) -> list[dict[str, object]]:
    """One row for each class that was found.

    A row holds the expected and the true Dice, the mask's volume as a part of the reference's, and the share
    of its voxels on the image's border.
    """
    prediction = apply_task(segmenter, task, query.image)
    shown = {name: value for value, name in reference.label.names.items()}
    named = {name: value for value, name in query.label.names.items()}
    rows = []
    for info in task.classes:
        found = prediction.label.array == info.value
        if not found.any():
            continue
        truth = query.label.array == named[info.name] if info.name in named else np.zeros_like(found)
        rows.append(
            {
                "class": info.name,
                "query": f"{query.group}/{query.name}",
                "expected": round(prediction.quality[info.name], 4),
                "volume": _ratio(found, query, reference.label.array == shown[info.name], reference),
                "border": round(float((found & _border(found.shape)).sum() / found.sum()), 3),
                "true": round(float(dice(found, truth)), 4) if truth.any() else 0.0,
                "agrees": detect_modality(query.image).name == task.modality,
            }
        )
    return rows


def _ratio(found: np.ndarray, query: Study, drawn: np.ndarray, reference: Study) -> float:
    voxels = [abs(float(np.linalg.det(study.image.affine[:3, :3]))) for study in (query, reference)]
    return round(float(found.sum()) * voxels[0] / max(float(drawn.sum()) * voxels[1], 1e-9), 3)


def _border(shape: tuple[int, ...]) -> np.ndarray:
    inner = np.zeros(shape, dtype=bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return ~inner


def table(rows: list[dict[str, object]]) -> list[str]:
    """Per bar the share of bad masks that it withholds and the share of good masks that it costs."""
    expected = np.array([row["expected"] for row in rows], dtype=float)
    true = np.array([row["true"] for row in rows], dtype=float)
    bad, good = true < BAD, true >= GOOD
    lines = [f"{len(rows)} masks, {bad.sum()} bad (Dice below {BAD}), {good.sum()} good ({GOOD} or more)"]
    for bar in BARS:
        under = expected < bar
        lines.append(
            f"bar {bar:.1f}: withholds {under[bad].mean():.3f} of the bad, "
            f"{under[good].mean():.3f} of the good"
        )
    return lines


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", metavar="REFERENCES=QUERIES")
    parser.add_argument("--references", type=int, default=2, help="each alone (default: 2)")
    parser.add_argument("--queries", type=int, default=4, help="of each reference (default: 4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every row there")
    arguments = parser.parse_args()
    loaded = load_model(None)
    segmenter = Segmenter(loaded.model, **loaded.settings)
    rows: list[dict[str, object]] = []
    for pair in arguments.pairs:
        left, right = pair.split("=")
        queries = open_studies(right, arguments.queries + arguments.references)
        for reference in open_studies(left, arguments.references):
            task = encode_task(segmenter, [reference.reference])
            others = [q for q in queries if (q.group, q.name) != (reference.group, reference.name)]
            chosen = others[-arguments.queries :]
            new = [row for q in chosen for row in compared(segmenter, task, q, reference)]
            rows += [row | {"pair": pair, "reference": reference.name} for row in new]
        here = [row for row in rows if row["pair"] == pair]
        means = f"expected {_mean(here, 'expected')}, true {_mean(here, 'true')}"
        print(f"{pair}: {len(here)} masks, {means}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1))
    agreeing = [row for row in rows if row["agrees"]]
    for title, part in (("all", rows), ("of one modality", agreeing)):
        print(f"\n{title}")
        print("\n".join(table(part)))


def _mean(rows: list[dict[str, object]], key: str) -> str:
    return f"{np.mean([row[key] for row in rows]):.3f}" if rows else "-"


if __name__ == "__main__":
    main()
