"""False positives of a structure that is cut out of the query's field of view.

The query is cut, wall to wall along one axis, so that the structure does not show; the task still asks for
it. What is given to it is told as a share of its usual volume, that in the whole query.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmarks.analyses.bench import pairs
from benchmarks.analyses.bench.record import conditions, interval, markdown, spoken
from benchmarks.analyses.bench.studies import Box, Study
from benchmarks.analyses.bench.views import box_without
from benchmarks.analyses.bench.workbench import Workbench
from benchmarks.analyses.place import variant

LOG = logging.getLogger(__name__)
LEAST = 0.3  # of the query that must stay
AIM = 0.01  # of the usual volume
LAYERS = 3  # voxels from the cut, within which a wrong voxel may be a border that is a little off
VARIANTS = ("as it is", "no alignment")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    pairs.add_arguments(parser, references=2, queries=3)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--classes", nargs="+", metavar="NAME", help="only these (default: all)")


def rows_of(
    bench: Workbench, reference: Study, query: Study, variants: list[str], wanted: list[str] | None
) -> Iterator[dict]:
    """One row a variant and class that can be cut out: the share of its usual volume that is still found."""
    task = bench.task(reference)
    values = {c.name: c.value for c in task.classes}
    for value in query.label.values:
        name = query.label.name_of(value)
        box = box_without(query.label.array, value, LEAST)
        if name not in values or (wanted and name not in wanted) or box is None:
            continue
        usual, cut = int((query.label.array == value).sum()), query.within(box)
        for way in variants:
            with variant(bench, way):
                mask = bench.label(task, cut) == values[name]
            found, beside = int(mask.sum()), int(mask[_beside_the_cut(box, query.image.shape)].sum())
            yield {
                "set": query.group, "reference": reference.name, "query": query.name, "variant": way,
                "class": name, "usual": usual, "found": found, "share": found / usual,
                "beside": beside / usual,
                "kept": float(np.prod(cut.image.shape) / np.prod(query.image.shape)),
            }  # fmt: skip


def _beside_the_cut(box: Box, shape: Sequence[int]) -> Box:
    """The layers of a cut query that lie next to what was cut away."""
    layers = []
    for side, length in zip(box, shape, strict=True):
        ends = (
            slice(0, LAYERS)
            if side.start > 0
            else slice(-LAYERS, None)
            if side.stop < length
            else slice(None)
        )
        layers.append(ends)
    return layers[0], layers[1], layers[2]


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Measures; `keep` gets the record after every pair."""
    bench = Workbench(arguments.checkpoint, arguments.cache)
    record = conditions(weights=bench.loaded.fingerprint, variants=arguments.variants, rows=[])
    for reference, queries in pairs.reference_and_queries(arguments):
        for query in queries:
            record["rows"] += list(rows_of(bench, reference, query, arguments.variants, arguments.classes))
            LOG.info("%s, %s on %s", query.group, reference.name, query.name)
            keep(record)


def table(record: dict) -> str:
    """By set and class, as it is; the last line of a set is all of it, and by variant."""
    lines = []
    for group in dict.fromkeys(row["set"] for row in record["rows"]):
        rows = [row for row in record["rows"] if row["set"] == group]
        for name in dict.fromkeys(row["class"] for row in rows):
            own = [r for r in rows if r["class"] == name and r["variant"] == record["variants"][0]]
            lines.append(_line(group, name, record["variants"][0], own))
        for way in record["variants"]:
            lines.append(_line(group, "all", way, [r for r in rows if r["variant"] == way]))
    head = ["set", "absent class", "network", "masks", "share of its usual volume", "most"]
    return markdown([*head, f"at most {AIM:.0%}", f"of it within {LAYERS} voxels of the cut"], lines)


def _line(group: str, name: str, way: str, rows: list[dict]) -> list[object]:
    shares = [row["share"] for row in rows]
    found = interval(shares, [row["query"] for row in rows])
    within = f"{sum(share <= AIM for share in shares)} of {len(shares)}"
    beside = sum(row["beside"] for row in rows) / max(sum(shares), 1e-9)
    return [group, name, way, len(rows), spoken(found), max(shares), within, f"{beside:.0%}"]


def draw(record: dict, figure) -> None:
    """A strip for each class: share of the usual volume; hollow marks are the other networks'."""
    rows = record["rows"]
    names = list(dict.fromkeys((row["set"], row["class"]) for row in rows))
    groups = list(dict.fromkeys(group for group, _ in names))
    figure.set_size_inches(8, 1.6 + 0.24 * len(names))
    axes = figure.subplots()
    for number, way in enumerate(record["variants"]):
        for index, group in enumerate(groups):
            own = [row for row in rows if (row["set"], row["variant"]) == (group, way)]
            places = [names.index((group, row["class"])) + 0.25 * number for row in own]
            colour = f"C{index}"
            axes.scatter(
                [row["share"] for row in own], places, s=20, alpha=0.8, edgecolors=colour,
                facecolors="none" if number else colour, label=f"{group}, {way}",
            )  # fmt: skip
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlim(-0.001, max(1.0, *(row["share"] for row in rows)) * 1.2)
    axes.axvline(AIM, color="grey", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), [name for _, name in names], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("volume given to a structure that is not in view, share of its usual volume")
    figure.legend(loc="outside lower center", ncols=len(record["variants"]), fontsize=7)
