"""What each family of synthetic anatomies adds to training: trainings that leave one out, at equal budget.

Each is measured beside the training on all of them: on real or made-up studies that no training saw, and on
synthetic episodes of the family that was left out and of the others. A second training on all families, from
another seed, says how far two trainings lie apart that differ in nothing else.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable

import numpy as np

from benchmarks.analyses import variants
from benchmarks.analyses.bench import pairs
from benchmarks.analyses.bench.record import markdown, paired, spoken
from benchmarks.analyses.bench.workbench import Workbench, class_dice
from benchmarks.analyses.variants import (
    Variant,
    episode_dice,
    spoken_budget,
    train,
    trained_families,
    training_conditions,
)
from iris_core.errors import InputError

LOG = logging.getLogger(__name__)
ALL, AGAIN, WITHOUT = "all", "all again", "without "
SHAPE = (48, 48, 48)  # of synthetic episodes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    variants.add_arguments(parser, network="extended", held_out=())
    pairs.add_arguments(parser, references=2, queries=3)


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Trains and measures one variant after the other; `keep` gets the record after each."""
    families = trained_families(arguments.held_out)
    if len(families) < 2:
        raise InputError("one family alone cannot be left out", where="--held-out", found=families[0])
    left = [Variant(WITHOUT + name, tuple(f for f in families if f != name)) for name in families]
    record = training_conditions(arguments)
    for variant in (Variant(ALL, families), Variant(AGAIN, families, seed=arguments.seed + 1), *left):
        bench = Workbench(train(variant, arguments))
        steps = bench.loaded.meta["steps"]
        for row in [*_studies(bench, arguments), *_episodes(bench, families, arguments.episodes)]:
            record["rows"].append({"variant": variant.name, "steps": steps, **row})
        LOG.info("%s: %d steps", variant.name, steps)
        keep(record)


def _studies(bench: Workbench, arguments: argparse.Namespace) -> list[dict]:
    rows = []
    for reference, queries in pairs.reference_and_queries(arguments):
        task = bench.task(reference)
        for query in queries:
            mean = float(np.mean(list(class_dice(task, bench.label(task, query), query).values())))
            rows.append({"set": query.group, "reference": reference.name, "query": query.name, "dice": mean})
    return rows


def _episodes(bench: Workbench, families: tuple[str, ...], episodes: int) -> list[dict]:
    """A row a family and episode: mean Dice over its masks."""
    rows = []
    for family in families:
        found = episode_dice(bench.loaded.model, [family], episodes, SHAPE, "cpu")
        for episode in dict.fromkeys(number for number, _, _ in found):
            mean = float(np.mean([both for number, _, both in found if number == episode]))
            name = f"{family} {episode}"
            rows.append({"set": f"episodes: {family}", "reference": "", "query": name, "dice": mean})
    return rows


def table(record: dict) -> str:
    """A line a variant: Dice of the training on all, then what the others differ from it by, set by set."""
    sets = [name for name in _sets(record) if not name.startswith("episodes")]
    lines = []
    for name in dict.fromkeys(row["variant"] for row in record["rows"]):
        own, other = _episode_sets(record, name)
        groups = [[one] for one in sets] + [own, other]
        lines.append([name, *(_cell(record, name, group) for group in groups)])
    head = [f"trained on, {spoken_budget(record)}", *sets, "episodes of the family", "of the other families"]
    return markdown(head, lines)


def _cell(record: dict, name: str, group: list[str]) -> str:
    base, rows = _rows(record, ALL, group), _rows(record, name, group)
    if not rows:
        return ""
    if name == ALL:
        return f"{np.mean([row['dice'] for row in rows]):.3f}"
    return spoken(paired(rows, base, ("set", "reference", "query"), "dice"), signed=True)


def _episode_sets(record: dict, name: str) -> tuple[list[str], list[str]]:
    """The family that a variant leaves out, and the others."""
    episodes = [one for one in _sets(record) if one.startswith("episodes")]
    own = [one for one in episodes if WITHOUT + one.removeprefix("episodes: ") == name]
    return own, [one for one in episodes if one not in own]


def _sets(record: dict) -> list[str]:
    return list(dict.fromkeys(row["set"] for row in record["rows"]))


def _rows(record: dict, name: str, group: list[str]) -> list[dict]:
    return [row for row in record["rows"] if row["variant"] == name and row["set"] in group]


def draw(record: dict, figure) -> None:
    """What leaving a family out changes, by set."""
    names = [n for n in dict.fromkeys(row["variant"] for row in record["rows"]) if n != ALL]
    columns = [
        (one, lambda _, one=one: [one]) for one in _sets(record) if not one.startswith("episodes")
    ] + [("episodes of the family", lambda name: _episode_sets(record, name)[0])]
    figure.set_size_inches(2.6 * len(columns) + 1.2, 0.34 * len(names) + 1.4)
    plots = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, (title, group_of) in zip(plots, columns, strict=True):
        for place, name in enumerate(names):
            rows = _rows(record, name, group_of(name))
            if not rows:
                continue
            found = paired(rows, _rows(record, ALL, group_of(name)), ("set", "reference", "query"), "dice")
            ends = [[found.mean - found.low], [found.high - found.mean]]
            colour = "0.5" if name == AGAIN else "C0"
            axes.errorbar(found.mean, place, xerr=ends, marker="o", capsize=3, color=colour)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=8)
    plots[0].set_yticks(range(len(names)), names)
    plots[0].invert_yaxis()
    figure.supxlabel(f"Dice minus that of the training on all families, {spoken_budget(record)}", fontsize=8)
