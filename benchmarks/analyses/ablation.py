"""What the parts of the task embedding are worth. Paper: 4.3, Table 4.

High resolution: masks read voxel by voxel; without it as the features at stride 16 see them. Foreground: the
pooled token of Eq. 2. Query: the contextual tokens of Eq. 3-4. A token that is left out is zero.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks.analyses import variants
from benchmarks.analyses.variants import KINDS, Variant, run_variants, spoken_budget, spread, trained_families

PARTS = {
    "query": ("context",),
    "high-res + query": ("high-resolution", "context"),
    "high-res + foreground": ("high-resolution", "foreground"),
    "high-res + foreground + query": ("high-resolution", "foreground", "context"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    variants.add_arguments(parser, network="plain")


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Trains one network for each line of the table."""
    families = trained_families(arguments.held_out)
    chosen = [Variant(name, families, {"embedding_parts": parts}) for name, parts in PARTS.items()]
    run_variants(arguments, chosen, keep)


def table(record: dict) -> str:
    """A line a variant."""
    return variants.table(record, "parts")


def draw(record: dict, figure) -> None:
    """Bars by part and kind of structure."""
    figure.set_size_inches(7, 3.6)
    axes = figure.subplots()
    for number, kind in enumerate(KINDS):
        for place, row in enumerate(record["rows"]):
            found = spread(row, kind)
            if found is None:
                continue
            left, ends = place + 0.26 * (number - 1), [[found.mean - found.low], [found.high - found.mean]]
            axes.bar(left, found.mean, 0.24, color=f"C{number}", label=kind if place == 0 else None)
            axes.errorbar(left, found.mean, yerr=ends, color="black", linewidth=1, capsize=2)
    names = [row["variant"].replace(" + ", "\n+ ") for row in record["rows"]]
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel("Dice, synthetic episodes")
    axes.set_title(f"{spoken_budget(record)} a variant, {record['network']} network", fontsize=9)
    axes.legend(fontsize=8)
