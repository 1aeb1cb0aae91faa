"""`iris trainer-path`: the folder that nnU-Net's `nnUNet_extTrainer` must name."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options: none."""


def run(_: argparse.Namespace) -> int:
    """Prints the folder.

    Returns:
        0.
    """
    print(Path(__file__).parents[1] / "discovery")
    return 0
