"""`iris evaluate`: Dice on a labelled dataset, beside copying the reference's mask on the same pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from iris_core.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder in nnU-Net's raw layout")
    draw = parser.add_argument_group("which references meet which queries")
    draw.add_argument(
        "--references", type=options.count, default=3, metavar="N", help="reference sets (default: 3)"
    )
    draw.add_argument(
        "--shots", type=options.count, default=1, metavar="N", help="references in a set (default: 1)"
    )
    draw.add_argument(
        "--queries", type=options.count, default=8, metavar="N", help="queries a set (default: 8)"
    )
    draw.add_argument("--seed", type=int, default=0, help="seed of the draw and of the interval (default: 0)")
    draw.add_argument(
        "--groups", type=Path, metavar="FILE", help='{"case": "patient"}: cases of one patient never meet'
    )
    draw.add_argument(
        "--cases",
        metavar="A-B|NAMES",
        help="only these: positions in name order from 1, or names with commas",
    )
    draw.add_argument(
        "--ordered-pairs",
        action="store_true",
        help="every case as the one reference of every other patient's cases",
    )
    task = parser.add_argument_group("task")
    task.add_argument(
        "--classes", type=options.names, metavar="A,B", help="only these classes (default: all)"
    )
    task.add_argument(
        "--strategy", choices=options.STRATEGIES, default=None, help="(default: ensemble for several)"
    )
    task.add_argument(
        "--modality",
        choices=("auto", "ct", "mr", "pet"),
        default=None,
        help="(default: what dataset.json says, else detected)",
    )
    task.add_argument(
        "--spacing",
        type=options.spacing,
        default=None,
        metavar="auto|paper|MM",
        help="voxel size to work at (default: auto)",
    )
    options.add_model_options(parser)
    options.add_channel(parser)
    parser.add_argument(
        "--registration",
        action="store_true",
        help="measure registration (affine, B-splines, vote) on the same pairs; seconds to minutes a pair",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every pair and the summary; - for stdout"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 when some pairs failed.

    Raises:
        IrisError: wrong use or bad input.
    """
    import sys

    from iris_core.cli.console import Console
    from iris_core.cli.engine import Engine
    from iris_core.evaluation import Bench, as_record, read_groups, summarise, table
    from iris_core.folder_run import require_writable
    from iris_core.raw_dataset import RawDataset
    from iris_core.report import refuse_as_record, to_json, write_json

    console = Console(quiet=arguments.quiet)
    to_file = arguments.json is not None and str(arguments.json) != "-"
    if to_file:
        refuse_as_record(
            arguments.json, [arguments.dataset / "dataset.json", arguments.groups or arguments.dataset]
        )
        require_writable(arguments.json.parent)
    dataset = RawDataset.open(arguments.dataset, channel=arguments.channel)
    cases = dataset.chosen(arguments.cases)
    groups = read_groups(arguments.groups, dataset.cases)
    names = _wanted(dataset.names, arguments.classes)
    sets = _sets(arguments, cases, groups, tuple(names))
    for entry in sets:
        if entry.missing:
            lacking = ", ".join(names[value] for value in entry.missing)
            console.warn(
                f"{', '.join(case.name for case in entry.references)} lacks {lacking}: not asked there"
            )
    engine = Engine(arguments.checkpoint, arguments.device, console)

    def encode(references, classes):
        return engine.encode(
            references,
            classes=classes,
            strategy=arguments.strategy,
            spacing=arguments.spacing,
            modality=arguments.modality or dataset.modality,
            seed=arguments.seed,
        )

    bar = console.bar(sum(len(entry.queries) for entry in sets), "pair")
    peers = {"registration": _registration(arguments.seed)} if arguments.registration else {}
    bench = Bench(names, groups, encode, engine.apply, arguments.channel, peers)
    measurement = bench.measure(sets, step=lambda _: bar.update())
    bar.close()
    summary = summarise(measurement, names, seed=arguments.seed)
    record = as_record(
        dataset.folder, arguments.words, engine.weights, engine.device, measurement, summary, names
    )
    if to_file:
        write_json(record, arguments.json)
    if arguments.json is not None and not to_file:
        print(to_json(record))
    else:
        print(f"{dataset.folder.name}: {len(sets)} reference sets, {summary.pairs} pairs")
        print(table(summary))
    for failure in summary.failures:
        print(f"iris evaluate: failed: {failure}", file=sys.stderr)
    return 1 if summary.failures else 0


def _registration(seed: int):
    from iris_core.registration import registration

    def register(references, query, values, task):
        how = {"modality": task.modality, "spacing": task.spacing}
        return registration(references, query, values, seed=seed, **how)

    return register


def _wanted(names: dict[int, str], classes: tuple[str, ...] | None) -> dict[int, str]:
    from iris_core.errors import InputError

    for name in classes or ():
        if name not in names.values():
            raise InputError(
                "no such class", where="--classes", expected=", ".join(names.values()), found=name
            )
    return {value: name for value, name in names.items() if classes is None or name in classes}


def _sets(arguments: argparse.Namespace, cases, groups, values: tuple[int, ...]):
    from functools import cache

    from iris_core.evaluation import draw_sets, ordered_pairs
    from iris_core.volume_io import read_label

    @cache
    def holds(case) -> frozenset[int]:
        return frozenset(read_label(case.label).values)

    if arguments.ordered_pairs:
        return ordered_pairs(cases, groups=groups, values=values, holds=holds)
    return draw_sets(
        cases,
        references=arguments.references,
        shots=arguments.shots,
        queries=arguments.queries,
        seed=arguments.seed,
        groups=groups,
        values=values,
        holds=holds,
    )
