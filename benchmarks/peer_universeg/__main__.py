"""UniverSeg as a peer of `iris evaluate`.

    python -m benchmarks.peer_universeg train WORK [--minutes N] [--bfloat16]
    python -m benchmarks.peer_universeg predict WORK DATASET FOLDER [the draw, as for iris evaluate]
    iris evaluate DATASET [the same draw] --peer universeg=FOLDER

`train` goes on from WORK/weights.safetensors; minutes are of the processor and of all segments together.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path


def main(argv: list[str] | None = None) -> int:
    """Runs one command."""
    parser = argparse.ArgumentParser(
        prog="peer_universeg", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train on synthetic slices")
    train.add_argument("work", type=Path, help="folder of weights, log and curve")
    train.add_argument("--minutes", type=float, default=60.0, help="processor minutes in all (default: 60)")
    train.add_argument("--rate", type=float, default=5e-4, help="peak learning rate (default: 5e-4)")
    train.add_argument("--bfloat16", action="store_true", help="compute in bfloat16")
    train.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return _train(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from benchmarks.peer_universeg.training import Settings, train

    names = ("minutes", "rate", "bfloat16", "seed")
    given = {name: getattr(arguments, name) for name in names}
    print(train(Settings(arguments.work, **given)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
