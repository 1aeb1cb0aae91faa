"""`iris pretrain`: synthetic tasks in, weights out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from iris_core.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options; those left out take the defaults of `Settings` and `Recipe`."""
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("iris-pretrain"),
        metavar="FOLDER",
        help="folder for weights, log and curve (default: iris-pretrain)",
    )
    parser.add_argument("--preset", help="size of the network: paper, small or tiny")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, metavar="N", help="wall time of this segment (default: 10)")
    budget.add_argument(
        "--steps", type=options.count, metavar="N", help="of the whole run, in place of minutes"
    )
    parser.add_argument(
        "--total-minutes",
        type=float,
        metavar="N",
        help="wall time of the whole run, when it comes in segments",
    )
    parser.add_argument("--resume", type=Path, metavar="FILE", help="weights to go on from")
    parser.add_argument(
        "--batch", type=options.count, metavar="N",
        help="pairs of people in a step and worker, two episodes each (default: 1 to 3, by the window)",
    )  # fmt: skip
    parser.add_argument("--workers", type=options.count, metavar="N", help="CPU processes that share a step")
    parser.add_argument("--seed", type=int, help="seed of weights and tasks")
    parser.add_argument(
        "--families", type=options.names, metavar="A,B,...", help="synthetic anatomies (default: all)"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.

    Raises:
        IrisError: wrong use or bad input.
    """
    import logging

    from iris_core.cli.engine import choose_device
    from iris_core.runs.folder_run import require_writable
    from iris_core.training.pretraining import Settings, pretrain
    from iris_core.training.pretraining.segment import recipe_for

    def given(*names: str) -> dict[str, Any]:
        return {name: value for name in names if (value := getattr(arguments, name)) is not None}

    device = choose_device(arguments.device)
    recipe = recipe_for(device, arguments.batch, **given("seed", "families"))
    segment = given("preset", "minutes", "total_minutes", "steps", "resume", "workers")
    settings = Settings(arguments.output, recipe, device=device, **segment)
    require_writable(arguments.output)
    if not arguments.quiet:
        logging.getLogger("iris_core.training.pretraining").setLevel(logging.INFO)
    print(pretrain(settings))
    return 0
