"""What each stage of the pipeline costs and brings: the same pairs with every stage left out in turn.

The first line is the whole pipeline: processor seconds of a query and its Dice. A stage's line is the share
of those seconds that a query saves without it, and what its Dice then differs by. The last line leaves out
all stages: the decoder by the task tokens alone.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable

import numpy as np

from benchmarks.analyses.bench import pairs
from benchmarks.analyses.bench.record import conditions, markdown, paired, spoken
from benchmarks.analyses.bench.workbench import Workbench, class_dice
from iris_core.inference.settings import DEFAULTS
from iris_core.segmenter import Segmenter

LOG = logging.getLogger(__name__)
WHOLE, NONE = "the whole pipeline", "no stage"
STAGES = tuple(name for name, group in DEFAULTS.to_dict().items() if isinstance(group, dict))
VARIANTS = {WHOLE: (), **{name: (name,) for name in STAGES}, NONE: STAGES}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    pairs.add_arguments(parser, references=2, queries=2)


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures every variant on every pair; `keep` gets the record after each reference."""
    bench = Workbench(arguments.checkpoint)
    whole = bench.segmenter
    record = conditions(weights=bench.loaded.fingerprint, rows=[])
    for reference, queries in pairs.reference_and_queries(arguments):
        for name, left_out in VARIANTS.items():
            settings = whole.settings.without(*left_out)
            bench.segmenter = Segmenter(bench.loaded.model, **bench.loaded.settings | {"settings": settings})
            start = time.process_time()
            task = bench.fresh_task(reference)
            encoded = time.process_time() - start
            for query in queries:
                start = time.process_time()
                label = bench.label(task, query)
                seconds = time.process_time() - start
                scores = class_dice(task, label, query)
                record["rows"].append({
                    "set": query.group, "reference": reference.name, "query": query.name, "without": name,
                    "dice": float(np.mean(list(scores.values()))), "classes": scores,
                    "encode_seconds": round(encoded, 2), "query_seconds": round(seconds, 2),
                })  # fmt: skip
        LOG.info("%s, %s", reference.group, reference.name)
        keep(record)


def table(record: dict) -> str:
    """A line a variant, two columns a set: seconds or their share, Dice or its difference."""
    sets = list(dict.fromkeys(row["set"] for row in record["rows"]))
    lines = []
    for name in VARIANTS:
        cells = [cell for group in sets for cell in _cells(record, group, name)]
        lines.append([name, *cells])
    head = [word for group in sets for word in (f"{group}, seconds", "Dice")]
    return markdown(["without", *head], lines)


def _cells(record: dict, group: str, name: str) -> tuple[str, str]:
    whole, rows = _rows(record, group, WHOLE), _rows(record, group, name)
    seconds, all_seconds = (float(np.mean([row["query_seconds"] for row in some])) for some in (rows, whole))
    if name == WHOLE:
        return f"{seconds:.1f}", f"{np.mean([row['dice'] for row in rows]):.3f}"
    change = paired(rows, whole, ("reference", "query"), "dice")
    return f"{seconds / all_seconds - 1:+.0%}", spoken(change, signed=True)


def _rows(record: dict, group: str, name: str) -> list[dict]:
    return [row for row in record["rows"] if (row["set"], row["without"]) == (group, name)]


def draw(record: dict, figure) -> None:
    """What a query saves and loses without each stage, set by set."""
    sets = list(dict.fromkeys(row["set"] for row in record["rows"]))
    figure.set_size_inches(3 * len(sets) + 1, 3.4)
    for axes, group in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets, strict=True):
        whole = _rows(record, group, WHOLE)
        base = float(np.mean([row["query_seconds"] for row in whole]))
        for name in STAGES:
            rows = _rows(record, group, name)
            saved = 1 - float(np.mean([row["query_seconds"] for row in rows])) / base
            lost = -paired(rows, whole, ("reference", "query"), "dice").mean
            axes.plot(saved, lost, "o", color="C0", markersize=4)
            axes.annotate(name, (saved, lost), fontsize=7, xytext=(3, 2), textcoords="offset points")
        axes.axhline(0, color="black", linewidth=0.6)
        axes.axvline(0, color="black", linewidth=0.6)
        axes.set_title(group, fontsize=8)
        axes.set_xlabel("share of a query's seconds", fontsize=8)
        axes.tick_params(labelsize=7)
    figure.supylabel("Dice that the stage brings", fontsize=8)
