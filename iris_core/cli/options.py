"""Options that several commands share, and how their words are read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from iris_core.cli.notices.class_choice import split_names
from iris_core.config import STRATEGIES
from iris_core.errors import InputError

CLASSES_HELP = "only these classes (default: all); a name with a comma may be put into double quotes"


def add_references(parser: argparse.ArgumentParser | argparse._ArgumentGroup, **kwargs: Any) -> None:
    """--reference IMAGE LABEL, once for each labelled study."""
    parser.add_argument(
        "--reference",
        nargs=2,
        action="append",
        type=Path,
        metavar=("IMAGE", "LABEL"),
        **kwargs,
        help="a labelled study to learn the task from; repeat for several",
    )


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """What may be said about a task when it is made from references."""
    task = parser.add_argument_group("task")
    task.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help='names of the label values: {"liver": 1}, {"1": "liver"} or a dataset.json',
    )
    task.add_argument("--classes", type=names, metavar="A,B", help=CLASSES_HELP)
    task.add_argument(
        "--strategy",
        choices=STRATEGIES,
        default=None,
        help="how references become one task (default: ensemble for several)",
    )
    task.add_argument(
        "--modality",
        choices=("auto", "ct", "mr", "pet"),
        default=None,
        help="decides how intensities are normalised (default: auto, and said)",
    )
    task.add_argument(
        "--spacing",
        type=spacing,
        default=None,
        metavar="auto|paper|MM",
        help="voxel size to work at: chosen from the reference, 1.5 mm, or given as 1 or 1,1,3 "
        "(default: auto)",
    )
    add_sparse(task)
    task.add_argument("--seed", type=int, default=0, help="seed of whatever a strategy draws (default: 0)")


def add_sparse(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """--sparse, for references that nobody labelled throughout."""
    parser.add_argument(
        "--sparse",
        nargs="?",
        const="slices",
        choices=("slices", "scribbles"),
        default=None,
        help="references are labelled in some slices only (--sparse), or by strokes (--sparse scribbles): "
        "what nobody drew on is unknown there and no background (default: it is background)",
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which weights, and where they run."""
    model = parser.add_argument_group("model")
    model.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    model.add_argument("--checkpoint", type=Path, metavar="FILE", help="other weights than the shipped ones")
    model.add_argument(
        "--no-mirroring",
        dest="settings",
        action="append_const",
        const="mirroring.enabled=false",
        help="do not average with a second pass in the mirror: half the time, results a little worse",
    )
    model.add_argument(
        "--set",
        dest="settings",
        action="append",
        metavar="STAGE.NAME=VALUE",
        help="change one setting of a stage, for experiments: --set bias.enabled=false (docs/pipeline.md)",
    )
    parser.set_defaults(settings=[])


def add_channel(parser: argparse.ArgumentParser) -> None:
    """--channel N, for images with several channels."""
    parser.add_argument(
        "--channel", type=int, metavar="N", help="channel to take of images with several, from 0"
    )


def names(text: str) -> tuple[str, ...]:
    """Reads "a,b"; see `iris_core.cli.notices.class_choice` for names that hold a comma themselves."""
    try:
        found = split_names(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not found:
        raise argparse.ArgumentTypeError("expected names separated by commas")
    return found


def spacing(text: str) -> str | float | tuple[float, ...]:
    """Reads "auto", "paper", one size in mm, or three."""
    if text in ("auto", "paper"):
        return text
    try:
        sizes = tuple(float(word) for word in text.split(","))
    except ValueError:
        sizes = ()
    if len(sizes) not in (1, 3) or not all(0.01 <= size <= 50 for size in sizes):
        raise argparse.ArgumentTypeError(
            f"expected auto, paper, or 1 or 3 sizes within 0.01-50 mm, found {text!r}"
        )
    return sizes[0] if len(sizes) == 1 else sizes


def count(text: str) -> int:
    """Reads a whole number of 1 or more."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, found {text!r}")
    return int(text)
