"""Dice when reference and query each show a random part of the patient.

Along every axis a study keeps a random stretch, at random. Structures count of which both parts show at least
95 %; with --one a single structure that the reference shows is asked for.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from benchmarks.analyses.bench.record import conditions, interval, markdown, spoken
from benchmarks.analyses.bench.studies import Study, open_studies
from benchmarks.analyses.bench.views import in_view
from benchmarks.analyses.bench.workbench import Workbench, class_dice
from benchmarks.analyses.place import variant
from iris_core.cli.options import count
from iris_core.errors import InputError
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task

LOG = logging.getLogger(__name__)
VARIANTS = ("as it is", "whole field alone", "no alignment")
WHOLE = 0.95  # of a structure in view
TRIES = 200
LOST = 0.1  # Dice under which a pair counts as lost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="SET", help="FOLDER, FOLDER:1-30, phantom-ct, phantom-mr"
    )
    parser.add_argument("--pairs", type=count, default=12, metavar="N", help="of a set (default: 12)")
    parser.add_argument("--least", type=float, default=0.6, help="share of an axis kept (default: 0.6)")
    parser.add_argument("--one", action="store_true", help="ask for one structure, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))


@contextmanager
def aligned_by(bench: Workbench, name: str) -> Iterator[None]:
    """The network as it is, aligned by the whole field of view alone, or not at all."""
    if name == "whole field alone":
        segmenter = bench.segmenter
        # no shift of the structures' own leaves so much
        bench.segmenter = segmenter.changed("alignment.least_seen=1e9", "place_search.enabled=false")
        try:
            yield
        finally:
            bench.segmenter = segmenter
    else:
        with variant(bench, name):
            yield


def part_of(study: Study, least: float, rng: np.random.Generator) -> tuple[Study, set[str]]:
    """A random part that shows a structure, and the names of those that it shows.

    Raises:
        InputError: none was found.
    """
    for _ in range(TRIES):
        box = []
        for length in study.image.shape:
            kept = round(length * rng.uniform(least, 1))
            first = int(rng.integers(0, length - kept + 1))
            box.append(slice(first, first + kept))
        shown = {name for name, share in in_view(study, tuple(box)).items() if share >= WHOLE}
        if shown:
            return study.within(tuple(box)), shown
    raise InputError("no part of this size shows a structure", where=study.name, remedy="raise --least")


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures; `keep` gets the record after every pair."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    record = conditions(weights=bench.loaded.fingerprint, variants=arguments.variants, rows=[])
    for spec in arguments.sets:
        studies, rng = open_studies(spec), np.random.default_rng(arguments.seed)
        for number in range(arguments.pairs):
            one, other = (studies[i] for i in rng.choice(len(studies), 2, replace=False))
            (reference, first), (query, second) = (part_of(s, arguments.least, rng) for s in (one, other))
            names = sorted(first & second)
            if names and arguments.one:
                names = [names[int(rng.integers(len(names)))]]
            if names:
                task = encode_task(
                    bench.segmenter, [reference.reference], classes=names if arguments.one else None
                )
                record["rows"] += list(_rows(bench, task, query, names, number, arguments.variants))
                LOG.info("%s, %s on %s: %s", query.group, reference.name, query.name, ", ".join(names))
                keep(record)


def _rows(
    bench: Workbench, task: Task, query: Study, names: list[str], number: int, variants: list[str]
) -> Iterator[dict]:
    for way in variants:
        with aligned_by(bench, way):
            scores = class_dice(task, bench.label(task, query), query)
        mean = float(np.mean([scores[name] for name in names]))
        yield {"set": query.group, "pair": number, "classes": names, "variant": way, "dice": mean}


def table(record: dict) -> str:
    """By set and network: mean Dice over pairs, its difference to the first network, and pairs lost."""
    lines = []
    for group in dict.fromkeys(row["set"] for row in record["rows"]):
        scores = {way: _scores(record, group, way) for way in record["variants"]}
        for way, values in scores.items():
            pairs = [str(i) for i in range(len(values))]
            apart = [a - b for a, b in zip(scores[record["variants"][0]], values, strict=True)]
            difference = "" if way == record["variants"][0] else spoken(interval(apart, pairs))
            lost = sum(value < LOST for value in values)
            lines.append([group, way, len(values), spoken(interval(values, pairs)), difference, lost])
    head = ["set", "alignment", "pairs", "Dice", f"{record['variants'][0]} minus it", f"under {LOST}"]
    return markdown(head, lines)


def _scores(record: dict, group: str, way: str) -> list[float]:
    return [row["dice"] for row in record["rows"] if (row["set"], row["variant"]) == (group, way)]


def draw(record: dict, figure) -> None:
    """Every pair as a line from network to network."""
    groups = list(dict.fromkeys(row["set"] for row in record["rows"]))
    figure.set_size_inches(3.2 * len(groups) + 0.6, 3.4)
    plots = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, group in zip(plots, groups, strict=True):
        columns = [_scores(record, group, way) for way in record["variants"]]
        for values in zip(*columns, strict=True):
            axes.plot(range(len(columns)), values, color="C0", alpha=0.4, marker="o", markersize=3)
        axes.plot(range(len(columns)), [np.mean(c) for c in columns], color="black", linewidth=2)
        axes.set_xticks(range(len(columns)), record["variants"], fontsize=7)
        axes.set_title(group, fontsize=8)
    plots[0].set_ylabel("Dice")
