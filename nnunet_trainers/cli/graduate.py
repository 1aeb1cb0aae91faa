"""`iris graduate`: finished studies of a MONAI Label folder in, an nnU-Net raw dataset out."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.epilog = "Next: iris plan-and-preprocess, or nnUNetv2_plan_and_preprocess."
    parser.add_argument("studies", type=Path, metavar="STUDIES", help="folder that the server works on")
    parser.add_argument(
        "--output", required=True, metavar="DatasetNNN_Name", help="in nnUNet_raw, or with a path before it"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help='names of labels that were put there by hand: {"liver": 1} or a dataset.json',
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.

    Raises:
        IrisError: wrong use or bad input; nothing is left behind then.
    """
    from iris_core.volume.label_names import read_label_names
    from nnunet_trainers.datasets.dataset_folder import in_nnunet_raw
    from nnunet_trainers.graduation.graduate import MANIFEST, graduate
    from nnunet_trainers.graduation.studies import final_studies

    target = in_nnunet_raw(arguments.output)
    names = read_label_names(arguments.labels, ignored=True) if arguments.labels else None
    studies = final_studies(arguments.studies, names)
    labels = graduate(studies, target)
    structures = sorted({name for names in labels.annotated.values() for name in names})
    print(f"{target}: {len(labels.groups)} cases, {', '.join(structures)}; checksums in {MANIFEST}")
    return 0
