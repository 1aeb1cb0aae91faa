"""`iris plan-and-preprocess`: raw datasets in, plans and preprocessed storage for `nnUNetv2_train` out."""

from __future__ import annotations

import argparse
import os
import sys

from iris_core.cli import options
from iris_core.triple import triple

FORKS = True  # nnU-Net preprocesses in forked processes
RECIPES = ("paper", "nnunet")  # of iris_core.preprocessing.intensity; repeated: the help needs no numpy
NEXT = (
    "nnUNet_extTrainer=$(iris trainer-path) "
    "nnUNetv2_train {number} 3d_fullres FOLD -tr nnUNetTrainerIris -p {name}"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "nnUNet_raw and nnUNet_preprocessed are set as for every command of nnU-Net. What comes next:\n\n  "
        + NEXT.format(number="DATASET", name="irisPlans")
    )
    parser.add_argument("datasets", nargs="+", metavar="DATASET", help="number or name in nnUNet_raw")
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        default="paper",
        help="intensities: 'paper' clips and z-scores every volume by itself, as iris segment does; 'nnunet' "
        "is what stock nnUNetv2_predict can repeat to the letter (default: paper)",
    )
    parser.add_argument(
        "--spacing",
        type=_spacing,
        default="paper",
        metavar="paper|nnunet|MM",
        help="voxel size: 1.5 mm, nnU-Net's choice, or given as 1 or 1,1,3 along RAS axes (default: paper)",
    )
    parser.add_argument(
        "--patch",
        type=_patch,
        metavar="N|I,J,K",
        help="window in voxels (default: 128, less along axes where every image is smaller)",
    )
    parser.add_argument("--batch", type=options.count, default=2, help="episodes of a step (default: 2)")
    parser.add_argument("-p", "--plans", default="irisPlans", help="name of the plans (default: irisPlans)")
    parser.add_argument(
        "-np", "--processes", type=options.count, default=min(8, os.cpu_count() or 1), metavar="N",
        help="processes that preprocess (default: as many as cores, at most 8)",
    )  # fmt: skip
    parser.add_argument("--clean", action="store_true", help="extract nnU-Net's fingerprint anew")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.

    Raises:
        IrisError: wrong use or bad input, before anything is written.
    """
    from iris_core.cli.console import Console
    from iris_core.config import PAPER_SPACING
    from nnunet_trainers.planning.checks import require_nnunet

    require_nnunet()
    from nnunet_trainers.planning.planner import PlanRequest
    from nnunet_trainers.planning.preparation import describe, plan_and_preprocess

    console = Console(quiet=arguments.quiet)
    spacing = {"paper": PAPER_SPACING, "nnunet": None}.get(arguments.spacing, arguments.spacing)
    request = PlanRequest(arguments.recipe, spacing, arguments.patch, arguments.batch, arguments.plans)
    for dataset in arguments.datasets:
        plans = plan_and_preprocess(
            dataset,
            request,
            processes=arguments.processes,
            clean=arguments.clean,
            progress=sys.stderr.isatty() and not arguments.quiet,
        )
        print(describe(plans))
        number = int(plans.parent.name[7:10])
        console.note(f"next: {NEXT.format(number=number, name=request.name)}")
    return 0


def _spacing(text: str) -> str | tuple[float, ...]:
    if text == "nnunet":
        return text
    size = options.spacing(text)
    if size == "auto":
        raise argparse.ArgumentTypeError("expected paper, nnunet, or sizes in mm")
    return (size,) * 3 if isinstance(size, float) else size


def _patch(text: str) -> tuple[int, int, int]:
    sides = tuple(int(word) for word in text.split(",") if word.isdigit())
    if len(sides) not in (1, 3) or len(sides) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"expected 1 or 3 whole numbers, found {text!r}")
    return triple(sides * 3 if len(sides) == 1 else sides)
