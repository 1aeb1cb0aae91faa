"""Which references meet which queries: the options that say it, for `iris evaluate` and for its peers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.cli import options
from iris_core.cli.notices.class_choice import chosen_names

if TYPE_CHECKING:
    from iris_core.evaluation.pairs import ReferenceSet
    from iris_core.volume_io.folder.raw_dataset import LabelledCase, RawDataset


@dataclass(frozen=True)
class Draw:
    """What the options chose.

    Attributes:
        dataset: the dataset.
        cases: the cases that were drawn from.
        names: value -> name of the classes asked for.
        groups: case name -> patient.
        sets: reference sets with their queries.
        found: case name -> values in its label, for the cases that were looked at.
    """

    dataset: RawDataset
    cases: tuple[LabelledCase, ...]
    names: dict[int, str]
    groups: dict[str, str]
    sets: list[ReferenceSet]
    found: dict[str, frozenset[int]] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the dataset and the options of the draw."""
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
    draw.add_argument(
        "--classes", type=options.names, metavar="A,B", help=options.CLASSES_HELP
    )
    options.add_channel(parser)


def drawn(arguments: argparse.Namespace) -> Draw:
    """Draws as the options say; the same options give the same draw.

    Raises:
        IrisError: a broken dataset, an unknown case or class, or too few cases.
    """
    from functools import cache

    from iris_core.evaluation.pairs import Candidates, read_groups
    from iris_core.volume_io import read_label
    from iris_core.volume_io.folder.raw_dataset import RawDataset

    @cache
    def holds(case: LabelledCase) -> frozenset[int]:
        return found.setdefault(case.name, frozenset(read_label(case.label).values))

    found: dict[str, frozenset[int]] = {}

    dataset = RawDataset.open(arguments.dataset, channel=arguments.channel)
    cases = dataset.chosen(arguments.cases)
    groups = read_groups(arguments.groups, dataset.cases)
    names = _wanted(dataset.names, arguments.classes)
    candidates = Candidates(cases, groups, tuple(names), holds)
    if arguments.ordered_pairs:
        sets = candidates.ordered_pairs()
    else:
        sets = candidates.draw_sets(
            references=arguments.references,
            shots=arguments.shots,
            queries=arguments.queries,
            seed=arguments.seed,
        )
    return Draw(dataset, cases, names, groups, sets, found)


def _wanted(names: dict[int, str], classes: tuple[str, ...] | None) -> dict[int, str]:
    from iris_core.errors import InputError

    classes = chosen_names(classes, names.values())
    for name in classes or ():
        if name not in names.values():
            raise InputError(
                "no such class", where="--classes", expected=", ".join(names.values()), found=name
            )
    return {value: name for value, name in names.items() if classes is None or name in classes}
