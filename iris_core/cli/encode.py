"""`iris encode`: references in, a task card out."""

from __future__ import annotations

import argparse
from pathlib import Path

from iris_core.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    options.add_references(parser, required=True)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="CARD.safetensors", help="card to write"
    )
    options.add_task_options(parser)
    options.add_model_options(parser)
    options.add_channel(parser)
    parser.add_argument(
        "--tokens-only", action="store_true",
        help="keep the paper's task embedding alone, a few kB a class: less Dice, and no image in it",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace a card that exists")
    parser.add_argument("--json", action="store_true", help="describe the card on stdout as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0.

    Raises:
        IrisError: wrong use or bad input.
    """
    from iris_core.cli.console import Console
    from iris_core.cli.engine import Engine, describe_task, task_line
    from iris_core.cli.references import check_classes, read_references
    from iris_core.runs.report import to_json

    console = Console(quiet=arguments.quiet)
    _check_output(arguments)
    if arguments.output.exists() and not arguments.overwrite:
        console.warn(f"{arguments.output} exists and is kept; --overwrite replaces it")
        if arguments.json:
            print(to_json({"card": str(arguments.output), "status": "kept"}))
        return 0
    references = read_references(
        arguments.reference, labels=arguments.labels, channel=arguments.channel, warn=console.warn
    )
    classes = check_classes(references, arguments.classes)
    engine = Engine(arguments.checkpoint, arguments.device, console, arguments.settings)
    task = engine.encode(
        references,
        classes=classes,
        strategy=arguments.strategy,
        modality=arguments.modality,
        spacing=arguments.spacing,
        sparse=arguments.sparse,
        seed=arguments.seed,
    )
    if arguments.tokens_only:
        task = task.tokens_alone()
    sizes = engine.save(task, arguments.output)
    size = arguments.output.stat().st_size
    console.note(task_line(task))
    if arguments.json:
        print(
            to_json(
                {
                    "card": str(arguments.output),
                    "status": "written",
                    "bytes": size,
                    "embedding_bytes": sizes["plain"],
                    "extras_bytes": sizes["extras"],
                    "weights": engine.weights,
                    "task": describe_task(task),
                }
            )
        )
    else:
        names = ", ".join(entry.name for entry in task.classes)
        parts = f"embedding {sizes['plain'] / 1000:.0f} kB, extras {sizes['extras'] / 1000:.0f} kB"
        print(f"{arguments.output}: {names}; {size / 1000:.0f} kB ({parts})")
    return 0


def _check_output(arguments: argparse.Namespace) -> None:
    from iris_core.errors import InputError
    from iris_core.runs.folder_run import require_writable

    if arguments.output.suffix != ".safetensors" or arguments.output.is_dir():
        raise InputError(
            "no name for a task card", where=arguments.output, expected="a file CARD.safetensors"
        )
    inputs = [path for pair in arguments.reference for path in pair] + [
        arguments.checkpoint,
        arguments.labels,
    ]
    if arguments.output.resolve() in {path.resolve() for path in inputs if path}:
        raise InputError(
            "the output is one of the inputs", where=arguments.output, remedy="choose another --output"
        )
    require_writable(arguments.output.parent)
