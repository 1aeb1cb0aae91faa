"""Right places and Dice there, on seeded pairs in which the place is hard.

    python -m benchmarks.places [--groups column-ct hearts 903] [--limit 4] [--json FILE] [--half B]

Real groups (901, 902, 903, 907) need IRIS_REAL_DATA. A run that was ended goes on from its JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.analyses.bench.workbench import Workbench
from benchmarks.places.case import Case, synthetic_cases
from benchmarks.places.figures import known_when_wrong, table
from benchmarks.places.groups import SYNTHETIC
from benchmarks.places.judge import Verdict, judged
from benchmarks.places.real import REAL, real_cases
from iris_core.task_prediction import apply_task


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", nargs="+", choices=[*SYNTHETIC, *REAL], default=[*SYNTHETIC, *REAL])
    parser.add_argument("--limit", type=int, help="pairs of a group, at most")
    parser.add_argument("--half", choices=("A", "B"), help="only this half")
    parser.add_argument("--checkpoint", type=Path, help="weights (default: the shipped ones)")
    parser.add_argument("--json", type=Path, help="keeps every verdict, and what a run has so far")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bench = Workbench(arguments.checkpoint)
    record = _begun(arguments.json, bench.loaded.fingerprint)
    for case in _cases(arguments):
        if case.name in record["seconds"]:
            continue
        begun = time.process_time()
        task = bench.fresh_task(case.reference)
        found = apply_task(bench.segmenter, task, case.query.image)
        record["seconds"][case.name] = round(time.process_time() - begun, 2)
        record["verdicts"] += [asdict(v) for v in judged(case, found.label.array, found.quality)]
        if arguments.json:
            arguments.json.write_text(json.dumps(record, indent=1) + "\n")
    verdicts = [Verdict(**one) for one in record["verdicts"]]
    for half in (arguments.half,) if arguments.half else ("A", "B"):
        chosen = [v for v in verdicts if v.half == half]
        if chosen:
            print(f"\nHalf {half}, weights {record['weights']}\n\n{table(chosen)}\n")
            print(known_when_wrong(chosen))
    print(f"\n{sum(record['seconds'].values()):.0f} processor seconds, {len(record['seconds'])} cases")


def _cases(arguments: argparse.Namespace) -> Iterator[Case]:
    half = arguments.half or "AB"
    groups = arguments.groups
    synthetic = tuple(group for group in groups if group in SYNTHETIC)
    yield from (case for case in synthetic_cases(synthetic, arguments.limit) if case.half in half)
    real = [group for group in groups if group in REAL]
    data = os.environ.get("IRIS_REAL_DATA")
    if real and data:
        yield from (case for case in real_cases(Path(data), real, arguments.limit) if case.half in half)


def _begun(path: Path | None, weights: str) -> dict:
    record = json.loads(path.read_text()) if path and path.is_file() else {}
    if record.get("weights") == weights:
        return record
    return {"weights": weights, "verdicts": [], "seconds": {}}


if __name__ == "__main__":
    main()
