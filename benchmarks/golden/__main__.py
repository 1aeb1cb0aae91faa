"""`python -m benchmarks.golden record|check --studies FOLDER`: results that a move of code must keep.

`record` computes the pairs of `cases.py` with the shipped weights, on one thread, and writes golden.json.
`check` computes them again and names every difference. Another processor or another torch sums in another
order: there, make a record of the commit to compare with first, by `--record FILE`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.analyses.bench.record import conditions, write_record
from benchmarks.golden.cases import CASES, Case
from benchmarks.golden.record import differences, entry
from iris_core.checkpoint import load_model

KEPT = Path(__file__).with_name("golden.json")


def main() -> int:
    """Command line of the script; gives 1 where a result differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("record", "check"))
    parser.add_argument("--studies", type=Path, metavar="FOLDER", help="of real studies (default: phantoms)")
    parser.add_argument("--record", type=Path, default=KEPT, metavar="FILE", help=f"(default: {KEPT.name})")
    parser.add_argument("--only", default="", metavar="WORD", help="pairs whose name holds it")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [one for one in CASES if arguments.only in one.name and (arguments.studies or not one.real)]
    return (_record if arguments.command == "record" else _check)(cases, arguments)


def _record(cases: list[Case], arguments: argparse.Namespace) -> int:
    loaded = load_model()
    pairs = {one.name: entry(one.run(loaded, arguments.studies)) for one in cases}
    facts = conditions(processor=_processor(), weights=loaded.fingerprint)
    write_record({**facts, "pairs": pairs}, arguments.record)
    return 0


def _check(cases: list[Case], arguments: argparse.Namespace) -> int:
    loaded, record = load_model(), json.loads(arguments.record.read_text(encoding="utf-8"))
    here = conditions(processor=_processor(), weights=loaded.fingerprint)
    for key in ("processor", "torch", "weights"):
        if record[key] != here[key]:
            print(f"note: {key} {record[key]} when it was recorded, {here[key]} here")
    different = False
    for one in cases:
        started = time.process_time()
        lines = differences(record["pairs"][one.name], one.run(loaded, arguments.studies))
        print(f"{one.name}: {'differs' if lines else 'as recorded'} ({time.process_time() - started:.0f} s)")
        for line in lines:
            print(f"  {line}")
        different = different or bool(lines)
    return int(different)


def _processor() -> str:
    """The processor's name and the instructions that torch takes."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8").splitlines() if facts.is_file() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


if __name__ == "__main__":
    sys.exit(main())
