"""python -m benchmarks.analyses NAME --output FOLDER: measures, writes NAME.json and NAME.png, tables."""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.analyses.bench.record import write_record
from iris_core.errors import InputError, IrisError

NAMES = (
    "strategies", "retrieval", "embeddings", "families", "tokens", "ablation", "left_out",
    "context", "place", "absent", "crops", "stages",
)  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """The command line.

    Args:
        words: after the program's name; those of the process when not given.

    Returns:
        0, or 2 for a user's mistake.
    """
    words = list(sys.argv[1:] if words is None else words)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analyses", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    for name in NAMES:
        module = import_module(f"benchmarks.analyses.{name}")
        command = commands.add_parser(name, help=module.__doc__.splitlines()[0])
        command.add_argument("--output", type=Path, required=True, help="folder for the record and picture")
        command.add_argument("--cache", type=Path, help="of embeddings (default: OUTPUT/cache)")
        command.add_argument("--checkpoint", type=Path, help="other weights than the shipped ones")
        command.add_argument("--redraw", action="store_true", help="table and picture of the record there is")
        module.add_arguments(command)
        for option in command._actions:  # a record says what it was made of
            option.required = option.required and "--redraw" not in words
    arguments = parser.parse_args(words)
    arguments.cache = arguments.cache or arguments.output / "cache"
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        _run(arguments, shlex.join(words))
    except IrisError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _run(arguments: argparse.Namespace, words: str) -> None:
    module = import_module(f"benchmarks.analyses.{arguments.name}")
    path = arguments.output / f"{arguments.name}.json"
    if not arguments.redraw:
        module.run(arguments, lambda record: write_record({"arguments": words, **record}, path))
    elif not path.is_file():
        raise InputError("no record to draw", where=path, remedy="run without --redraw")
    record = json.loads(path.read_text(encoding="utf-8"))
    print(module.table(record))
    _picture(module, record, path.with_suffix(".png"))


def _picture(module, record: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(layout="constrained")
    module.draw(record, figure)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
