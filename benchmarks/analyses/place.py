"""Dice when the query's field of view is cropped, or moved against the reference's, by a third.

Cropped: the query loses the first or last third of an axis; the reference shows all. Moved: both show three
quarters of an axis, the query the other end of it, so that the centres lie a third of a view apart; this is
compared with both showing the same end. Classes count by how much of them is in view.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from benchmarks.analyses.bench import pairs
from benchmarks.analyses.bench.record import conditions, interval, markdown, spoken
from benchmarks.analyses.bench.studies import Study
from benchmarks.analyses.bench.views import SIDES, in_view, three_quarters, without_a_third
from benchmarks.analyses.bench.workbench import Workbench, class_dice

LOG = logging.getLogger(__name__)
VARIANTS = ("as it is", "no alignment", "no place map", "neither")
WHOLE, CROPPED, SAME, MOVED = "whole", "cropped by a third", "same three quarters", "moved by a third"
BASIS = {CROPPED: WHOLE, MOVED: SAME}
SHARES = (0.95, 0.5)  # of a structure in view: all but whole, and at least half


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    pairs.add_arguments(parser, references=2, queries=2)
    parser.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="(default: all)"
    )
    parser.add_argument("--axes", nargs="+", type=int, choices=(0, 1, 2), default=[0, 1, 2], help="RAS axes")


@contextmanager
def variant(bench: Workbench, name: str) -> Iterator[None]:
    """The network without its alignment of fields of view, without the place map, or without both."""
    config, segmenter = bench.loaded.model.config, bench.segmenter
    if name in ("no alignment", "neither"):
        bench.segmenter = segmenter.changed("alignment.enabled=false", "place_search.enabled=false")
    if name in ("no place map", "neither"):
        bench.loaded.model.config = replace(config, place=False)  # the head counts it as zeros
    try:
        yield
    finally:
        bench.loaded.model.config, bench.segmenter = config, segmenter


def rows_of(
    bench: Workbench, reference: Study, query: Study, variants: list[str], axes: list[int]
) -> Iterator[dict]:
    """One row a variant, view and class: Dice of what is in view, and how much of the class that is."""
    for view, where, seen_reference, seen_query, share in _views(reference, query, axes):
        task = (bench.task if seen_reference is reference else bench.fresh_task)(seen_reference)
        for name in variants:
            with variant(bench, name):
                scores = class_dice(task, bench.label(task, seen_query), seen_query)
            for label, value in scores.items():
                yield {
                    "set": query.group, "reference": reference.name, "query": query.name, "variant": name,
                    "view": view, "where": where, "class": label, "in_view": share[label], "dice": value,
                }  # fmt: skip


def _views(reference: Study, query: Study, axes: list[int]) -> Iterator[tuple]:
    """(view, where, reference, query, share of each class in the narrower of both views)."""
    whole = dict.fromkeys(in_view(query, _all(query)), 1.0)
    yield WHOLE, "", reference, query, whole
    for axis in axes:
        for side in SIDES:
            box = without_a_third(query.image.shape, axis, side)
            yield CROPPED, f"{axis} {side}", reference, query.within(box), in_view(query, box)
    for axis in axes:
        for side, other in zip(SIDES, reversed(SIDES), strict=True):
            kept = three_quarters(reference.image.shape, axis, side)
            narrow = in_view(reference, kept)
            for view, end in ((SAME, side), (MOVED, other)):
                box = three_quarters(query.image.shape, axis, end)
                both = {
                    name: min(share, narrow.get(name, 0.0)) for name, share in in_view(query, box).items()
                }
                yield view, f"{axis} {side}", reference.within(kept), query.within(box), both


def _all(study: Study) -> tuple[slice, slice, slice]:
    first, second, third = (slice(0, length) for length in study.image.shape)
    return first, second, third


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures; `keep` gets the record after every pair."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    record = conditions(weights=bench.loaded.fingerprint, variants=arguments.variants, rows=[])
    for reference, queries in pairs.reference_and_queries(arguments):
        for query in queries:
            record["rows"] += list(rows_of(bench, reference, query, arguments.variants, arguments.axes))
            LOG.info("%s, %s on %s", query.group, reference.name, query.name)
            keep(record)


def compared(rows: list[dict], name: str, view: str, least: float) -> list[dict]:
    """Masks of a view that show enough of their class, each with "before", Dice in the view compared with."""

    def key(row: dict) -> tuple:
        where = "" if view == CROPPED else row["where"]  # every crop is compared with the one whole view
        return row["query"], row["reference"], row["class"], where

    own = [row for row in rows if row["variant"] == name]
    before = {key(row): row["dice"] for row in own if row["view"] == BASIS[view]}
    return [
        {**row, "before": before[key(row)]}
        for row in own
        if row["view"] == view and row["in_view"] >= least and key(row) in before
    ]


def table(record: dict) -> str:
    """By set, view and variant: Dice lost."""
    lines = []
    for group in dict.fromkeys(row["set"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["set"] == group]
        for view in BASIS:
            for least in SHARES:
                for name in record["variants"]:
                    found = compared(rows, name, view, least)
                    if not found:
                        continue
                    changes = [row["dice"] - row["before"] for row in found]
                    means = (float(np.mean([row[key] for row in found])) for key in ("before", "dice"))
                    lost = interval(changes, [row["query"] for row in found])
                    lines.append(
                        [group, view, f"{least:.0%}", name, len(found), *means, spoken(lost, signed=True)]
                    )
    head = ["set", "view", "in view, at least", "network", "masks", "Dice before", "Dice in it"]
    return markdown([*head, "paired difference"], lines)


def draw(record: dict, figure) -> None:
    """Dice by view and variant, of classes that are in view all but whole."""
    groups = list(dict.fromkeys(row["set"] for row in record["rows"]))
    figure.set_size_inches(4.2 * len(groups), 3.8)
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    views = (WHOLE, CROPPED, SAME, MOVED)
    for axes, group in zip(panels, groups, strict=True):
        for number, name in enumerate(record["variants"]):
            for place, view in enumerate(views):
                rows = [
                    r
                    for r in record["rows"]
                    if (r["set"], r["variant"], r["view"]) == (group, name, view)
                    and r["in_view"] >= SHARES[0]
                ]
                if not rows:
                    continue
                found = interval([r["dice"] for r in rows], [r["query"] for r in rows])
                ends = [[found.mean - found.low], [found.high - found.mean]]
                left = place + (number - len(record["variants"]) / 2 + 0.5) * 0.2
                axes.bar(left, found.mean, 0.18, color=f"C{number}", label=name if place == 0 else None)
                axes.errorbar(left, found.mean, yerr=ends, color="black", linewidth=1, capsize=2)
        axes.set_xticks(range(len(views)), [view.replace(" ", "\n", 1) for view in views], fontsize=8)
        axes.set(title=group, ylim=(0, 1))
    panels[0].set_ylabel("Dice, at least 95 % in view")
    panels[0].legend(fontsize=8, loc="lower left")
