"""Number of training families against Dice on unseen families. Paper: 4.3, Fig. 6 left."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks.analyses import variants
from benchmarks.analyses.variants import Variant, run_variants, trained_families
from iris_core.cli.options import count
from iris_core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    variants.add_arguments(parser, network="extended")
    parser.add_argument("--sizes", type=count, nargs="+", default=[1, 2, 3, 5], metavar="N")


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Trains on the first 1, 2, ... families, each set within the next."""
    order = trained_families(arguments.held_out)
    if max(arguments.sizes) > len(order):
        raise InputError("too few families", where="--sizes", expected=f"at most {len(order)}")
    chosen = [Variant(f"{n} of {len(order)}", order[:n]) for n in arguments.sizes]
    run_variants(arguments, chosen, keep)


def table(record: dict) -> str:
    """A line a variant."""
    return variants.table(record, "families trained on")


def draw(record: dict, figure) -> None:
    """Unseen Dice against the number of families."""
    places = [len(row["families"]) for row in record["rows"]]
    title = f"unseen: {', '.join(record['held_out'])}"
    variants.draw_line(record, figure, places, "families trained on", title)
