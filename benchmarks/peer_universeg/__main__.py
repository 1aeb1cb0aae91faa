"""UniverSeg as a peer of `iris evaluate`.

    python -m benchmarks.peer_universeg train WORK [--minutes N] [--bfloat16]
    python -m benchmarks.peer_universeg predict DATASET FOLDER --work WORK [the draw, as for iris evaluate]
    iris evaluate DATASET [the same draw] --peer universeg=FOLDER

`train` goes on from WORK/weights.safetensors; minutes are of the processor and of all segments together.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from iris_core.cli import draw, options


def main(argv: list[str] | None = None) -> int:
    """Runs one command."""
    parser = argparse.ArgumentParser(
        prog="peer_universeg", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train on synthetic slices")
    train.add_argument("work", type=Path, help="folder of weights, log and curve")
    train.add_argument("--minutes", type=float, default=60.0, help="processor minutes in all (default: 60)")
    train.add_argument("--rate", type=float, default=1e-3, help="peak learning rate (default: 1e-3)")
    train.add_argument("--bfloat16", action="store_true", help="compute in bfloat16")
    train.add_argument("--seed", type=int, default=0)
    predict = commands.add_parser("predict", help="segment the queries of iris evaluate")
    draw.add_arguments(predict)
    predict.add_argument("folder", type=Path, metavar="FOLDER", help="where the label maps go")
    predict.add_argument("--work", type=Path, required=True, help="folder of the weights")
    predict.add_argument("--slices", type=options.count, default=6, help="reference slices (default: 6)")
    predict.add_argument("--bfloat16", action="store_true", help="compute in bfloat16")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    return {"train": _train, "predict": _predict}[arguments.command](arguments)


def _train(arguments: argparse.Namespace) -> int:
    from benchmarks.peer_universeg.training import Settings, train

    names = ("minutes", "rate", "bfloat16", "seed")
    given = {name: getattr(arguments, name) for name in names}
    print(train(Settings(arguments.work, **given)))
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    """Queries that these very weights have segmented are left as they are."""
    from benchmarks.peer_universeg.network import load
    from benchmarks.peer_universeg.slice_wise import segment
    from iris_core.evaluation.cost import measured
    from iris_core.evaluation.peers.folder import PeerFolder
    from iris_core.volume.label_grid import fit_label
    from iris_core.volume_io import read_image, read_label

    network, done = load(arguments.work / "weights.safetensors")
    chosen = draw.drawn(arguments)
    results = PeerFolder.start(arguments.folder, chosen.sets)
    about = {
        "steps": int(done["steps"]),
        "minutes": round(done["seconds"] / 60, 2),
        "slices": arguments.slices,
    }
    if results.about != about:
        results.costs = {}
    results.tell(**about)

    def read(case):
        image = read_image(case.image, channel=arguments.channel)
        return image, fit_label(read_label(case.label), image)

    how = {"modality": chosen.dataset.modality, "slices": arguments.slices, "bfloat16": arguments.bfloat16}
    for index, entry in enumerate(chosen.sets):
        references = [read(case) for case in entry.references]
        for query in entry.queries:
            if results.cost(index, query.name) and results.path(index, query.name).is_file():
                continue
            image, _ = read(query)
            label, cost = measured(
                lambda references=references, image=image, values=entry.values: segment(
                    network, references, image, values, **how
                )
            )
            results.write(index, query.name, label, cost)
            logging.info("set %d: %s in %.1f s", index, query.name, cost.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
