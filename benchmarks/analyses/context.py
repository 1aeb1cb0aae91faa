"""Does the network believe its context? Dice against the truth with right and with wrong references.

Swapped: every class's name on the voxels of another class. Moved: the label rolled by half the field of
view. A network that ignored its reference would keep its Dice.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.analyses.bench import pairs
from benchmarks.analyses.bench.record import conditions, interval, markdown, spoken
from benchmarks.analyses.bench.studies import Study
from benchmarks.analyses.bench.workbench import Workbench, class_dice
from iris_core.preprocessing.grid import nonzero_box

LOG = logging.getLogger(__name__)
AIM = 0.25  # of the right context's Dice that a wrong one may keep


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    pairs.add_arguments(parser, references=2, queries=3)


def swapped(study: Study) -> Study:
    """The study with each class on the voxels of another, half the list further on."""
    values = list(study.label.values)
    array = np.zeros_like(study.label.array)
    half = max(1, len(values) // 2)
    for value, other in zip(values, values[half:] + values[:half], strict=True):
        array[study.label.array == other] = value
    return study.with_label(array)


def moved(study: Study) -> Study:
    """The study with its label rolled by half its nonzero box along every axis."""
    box = tuple(slice(*ends) for ends in nonzero_box(study.image))  # studies lie in RAS+ order
    array = np.zeros_like(study.label.array)
    part = study.label.array[box]
    array[box] = np.roll(part, [length // 2 for length in part.shape], (0, 1, 2))
    return study.with_label(array)


CONTEXTS: dict[str, Callable[[Study], Study]] = {"right": lambda s: s, "swapped": swapped, "moved": moved}


def rows_of(bench: Workbench, reference: Study, queries: list[Study]) -> Iterator[dict]:
    """One row a context and query: mean Dice over the classes that the query holds."""
    for name, change in CONTEXTS.items():
        if name == "swapped" and len(reference.label.values) < 2:
            continue
        task = bench.task(reference) if name == "right" else bench.fresh_task(change(reference))
        for query in queries:
            scores = class_dice(task, bench.label(task, query), query)
            yield {
                "set": query.group, "reference": reference.name, "query": query.name, "context": name,
                "dice": scores, "mean": float(np.mean(list(scores.values()))),
            }  # fmt: skip


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures; `keep` gets the record after every reference."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    record = conditions(weights=bench.loaded.fingerprint, rows=[])
    for reference, queries in pairs.reference_and_queries(arguments):
        record["rows"] += list(rows_of(bench, reference, list(queries)))
        LOG.info("%s, %s", reference.group, reference.name)
        keep(record)


def table(record: dict) -> str:
    """By set: Dice with each context, and what the wrong ones keep of the right one's."""
    lines = []
    for group in dict.fromkeys(row["set"] for row in record["rows"]):
        found = {name: _interval(record, group, name) for name in CONTEXTS}
        wrong = [found[name] for name in ("swapped", "moved")]
        kept = [f"{one.mean / found['right'].mean:.3f}" if one else "" for one in wrong]
        lines.append([group, *(spoken(f) if f else "" for f in found.values()), *kept])
    return markdown(["set", *CONTEXTS, "kept when swapped", "kept when moved"], lines)


def draw(record: dict, figure) -> None:
    """Bars by set and context."""
    groups = list(dict.fromkeys(row["set"] for row in record["rows"]))
    figure.set_size_inches(1.5 + 1.8 * len(groups), 3.6)
    axes = figure.subplots()
    for number, name in enumerate(CONTEXTS):
        for place, group in enumerate(groups):
            found = _interval(record, group, name)
            if found is None:
                continue
            left, ends = place + 0.26 * (number - 1), [[found.mean - found.low], [found.high - found.mean]]
            axes.bar(left, found.mean, 0.24, color=f"C{number}", label=name if place == 0 else None)
            axes.errorbar(left, found.mean, yerr=ends, color="black", linewidth=1, capsize=2)
    axes.set_xticks(range(len(groups)), [group.replace("_", "\n") for group in groups], fontsize=8)
    axes.set(ylabel="Dice against the truth", ylim=(0, 1))
    axes.legend(title="context", fontsize=8)


def _interval(record: dict, group: str, name: str):
    rows = [row for row in record["rows"] if (row["set"], row["context"]) == (group, name)]
    return interval([row["mean"] for row in rows], [row["query"] for row in rows]) if rows else None
