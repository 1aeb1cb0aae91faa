"""Number m of learnable query tokens against Dice. Paper: 4.3, Fig. 6 right."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from benchmarks.analyses import variants
from benchmarks.analyses.variants import Variant, run_variants, trained_families
from iris_core.cli.options import count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    variants.add_arguments(parser, network="plain")
    parser.add_argument("--sizes", type=count, nargs="+", default=[1, 5, 10, 20], metavar="M")


def run(arguments: argparse.Namespace, keep: Callable[[dict], None]) -> None:
    """Trains one network for each m."""
    families = trained_families(arguments.held_out)
    chosen = [Variant(f"m = {m}", families, {"context_tokens": m}) for m in arguments.sizes]
    run_variants(arguments, chosen, keep)


def table(record: dict) -> str:
    """A line a variant."""
    return variants.table(record, "tokens")


def draw(record: dict, figure) -> None:
    """Unseen Dice against m."""
    places = [int(row["variant"].removeprefix("m = ")) for row in record["rows"]]
    variants.draw_line(record, figure, places, "query tokens m", "tokens of the contextual embedding")
