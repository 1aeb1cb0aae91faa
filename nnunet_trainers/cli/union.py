"""`iris union`: several raw datasets in, one ordinary raw dataset out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

MODALITIES = ("ct", "mr", "pet")  # of iris_core.preprocessing.intensity; repeated: the help needs no numpy
PAPER = "75,5,20"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.epilog = "NAME is a dataset's number, name or folder name. Next: iris plan-and-preprocess."
    parser.add_argument(
        "datasets", nargs="+", metavar="DATASET", help="number or name in nnUNet_raw, or a folder"
    )
    parser.add_argument(
        "--output", required=True, metavar="DatasetNNN_Name", help="in nnUNet_raw, or with a path before it"
    )
    parser.add_argument(
        "--weight",
        type=_named(_positive, "W"),
        action="append",
        default=[],
        metavar="NAME=W",
        help="how often it is drawn, relative to the others (default: 1)",
    )
    parser.add_argument(
        "--channel",
        type=_named(int, "N"),
        action="append",
        default=[],
        metavar="NAME=N",
        help="channel to take of several, from 0",
    )
    parser.add_argument(
        "--modality",
        type=_named(_modality, "|".join(MODALITIES)),
        action="append",
        default=[],
        metavar="NAME=M",
        help=f"{', '.join(MODALITIES)} (default: as the channel is called, or as the images look)",
    )
    parser.add_argument(
        "--persons",
        type=_named(Path, "FILE"),
        action="append",
        default=[],
        metavar="NAME=FILE",
        help='{"case": "person"}: the cases of one person stay on one side of the split',
    )
    parser.add_argument(
        "--split",
        type=_shares,
        default=_shares(PAPER),
        metavar="TRAIN,VAL,TEST|none",
        help=f"shares of persons; none leaves it to nnU-Net (default: {PAPER})",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.

    Raises:
        IrisError: wrong use or bad input; nothing is left behind then.
    """
    from nnunet_trainers.datasets.dataset_folder import in_nnunet_raw, nnunet_folder
    from nnunet_trainers.planning.checks import find_dataset
    from nnunet_trainers.unions.source import open_sources
    from nnunet_trainers.unions.union import make_union

    target = in_nnunet_raw(arguments.output)
    folders = [
        Path(name).absolute()
        if Path(name, "dataset.json").is_file()
        else find_dataset(name, nnunet_folder("nnUNet_raw"))
        for name in arguments.datasets
    ]
    sources = open_sources(
        folders,
        weights=dict(arguments.weight),
        channels=dict(arguments.channel),
        modalities=dict(arguments.modality),
        groupings=dict(arguments.persons),
    )
    labels = make_union(sources, target, shares=arguments.split, seed=arguments.seed)
    classes = sum(map(len, labels.annotated.values()))
    print(
        f"{target}: {len(labels.groups)} cases ({len(labels.test)} held back to test), {classes} classes of "
        f"{len(labels.annotated)} datasets"
    )
    return 0


def _named(convert: Callable[[str], object], expected: str) -> Callable[[str], tuple[str, object]]:
    """A reader of NAME=VALUE."""

    def read(text: str) -> tuple[str, object]:
        name, _, value = text.partition("=")
        try:
            return name, convert(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"expected NAME={expected}, found {text!r}") from None

    return read


def _positive(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise ValueError(text)
    return float(text)


def _modality(text: str) -> str:
    return MODALITIES[MODALITIES.index(text)]


def _shares(text: str) -> tuple[float, float, float] | None:
    if text == "none":
        return None
    try:
        train, val, test = (float(word) for word in text.split(","))
    except ValueError:
        train = val = test = -1.0
    if not (train > 0 and val > 0 and test >= 0):
        raise argparse.ArgumentTypeError(f"expected three shares, e.g. {PAPER}, or none; found {text!r}")
    return train, val, test
