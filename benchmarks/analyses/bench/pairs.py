"""Pairs of a reference and a query of one set."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from benchmarks.analyses.bench.studies import Study, open_studies
from iris_core.cli.options import count
from iris_core.errors import InputError


def add_arguments(parser: argparse.ArgumentParser, *, references: int, queries: int) -> None:
    """Adds the options that say which pairs."""
    parser.add_argument(
        "--sets", nargs="+", required=True, metavar="SET", help="FOLDER, FOLDER:31-60, phantom-ct, phantom-mr"
    )
    parser.add_argument(
        "--references", type=count, default=references, metavar="N", help=f"a set (default: {references})"
    )
    parser.add_argument(
        "--queries", type=count, default=queries, metavar="N", help=f"a reference (default: {queries})"
    )


def reference_and_queries(arguments: argparse.Namespace) -> Iterator[tuple[Study, Sequence[Study]]]:
    """The first studies of each set are references; each meets the queries after them, in turn."""
    for spec in arguments.sets:
        references, queries = arguments.references, arguments.queries
        studies = open_studies(spec, references * (queries + 1))
        rest = studies[references:]
        if not rest:
            raise InputError("too few studies", where=spec, expected=references + 1, found=len(studies))
        for number, reference in enumerate(studies[:references]):
            start = number * queries if len(rest) >= references * queries else 0
            yield reference, rest[start : start + queries]
