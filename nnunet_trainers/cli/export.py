"""`iris export`: a training folder of nnUNetTrainerIris in, one portable file out."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "training",
        type=Path,
        metavar="FOLDER_OR_CHECKPOINT",
        help="what nnUNetv2_train wrote: the training's folder, a fold of it, or one checkpoint_*.pth",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that exists")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.

    Raises:
        IrisError: wrong use or bad input.
    """
    from iris_core.errors import InputError

    output = arguments.output
    if output.suffix != ".safetensors":
        raise InputError("unusable name", where=output, expected="a name that ends with .safetensors")
    if output.exists() and not arguments.overwrite:
        raise InputError("exists already", where=output, remedy="choose another name or --overwrite")
    from nnunet_trainers.training.portable import export_training

    print(f"{output}  weights {export_training(arguments.training, output)}")
    return 0
