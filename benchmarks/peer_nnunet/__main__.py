"""nnU-Net as a peer of `iris evaluate`: trained on the same references, segments the same queries.

    python -m benchmarks.peer_nnunet DATASET FOLDER --work WORK [the draw, as for iris evaluate]
    iris evaluate DATASET [the same draw] --peer nnunet=FOLDER

Every set is a training of its own, on all its references. It ends when the curve on a held-back case is flat
or --minutes of the processor are spent, whichever is later. The held-back case is one of the dataset that is
neither reference nor query of the set; it decides when to stop and nothing else. Where no such case is left,
the curve is that of the references themselves. Started again, the command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from iris_core.cli import draw, options


def main(argv: list[str] | None = None) -> int:
    """Trains and predicts every set asked for."""
    parser = argparse.ArgumentParser(
        prog="peer_nnunet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    draw.add_arguments(parser)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the label maps go")
    parser.add_argument("--work", type=Path, required=True, help="folder of nnU-Net's files, weights, curves")
    parser.add_argument("--sets", type=_numbers, help="only these sets, e.g. 0,2 (default: all)")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="processor minutes at least (default: 60)"
    )
    parser.add_argument(
        "--most", type=float, help="processor minutes at most, flat or not (default: no bound)"
    )
    parser.add_argument("--steps", type=options.count, default=10, help="of an epoch (default: 10)")
    parser.add_argument(
        "--batch", type=options.count, default=2, help="patches a step (default: 2, the least nnU-Net plans)"
    )
    parser.add_argument("--no-mirroring", action="store_true", help="do not average over mirrored queries")
    parser.add_argument(
        "--predict-now", action="store_true", help="no more training: predict with what is there"
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _environment(arguments.work)
    from iris_core.evaluation.peers.folder import PeerFolder

    chosen = draw.drawn(arguments)
    results = PeerFolder.start(arguments.folder, chosen.sets)
    for index in arguments.sets or range(len(chosen.sets)):
        _run_set(index, chosen, results, arguments)
    return 0


def _run_set(index: int, chosen: draw.Draw, results, arguments: argparse.Namespace) -> None:
    import torch

    from benchmarks.peer_nnunet.reference_dataset import write_dataset
    from benchmarks.peer_nnunet.trainer import make_trainer, plan, segment
    from benchmarks.peer_nnunet.training import Schedule, train
    from iris_core.evaluation.cost import measured
    from iris_core.metrics import dice_per_class, mean_dice
    from iris_core.volume.label_grid import fit_label
    from iris_core.volume_io import read_image, read_label

    torch.manual_seed(arguments.seed)
    entry = chosen.sets[index]
    raw, preprocessed = (Path(os.environ[f"nnUNet_{part}"]) for part in ("raw", "preprocessed"))
    channel = {"ct": "CT"}.get(chosen.dataset.modality, "MRI")
    dataset = write_dataset(raw, index, entry, chosen.names, channel)
    trainer = make_trainer(dataset, plan(dataset, preprocessed, arguments.batch), raw, arguments.minutes)
    looked_at = _held_back(chosen, index) or entry.references

    def look() -> float:
        found = []
        for case in looked_at:
            image = read_image(case.image, channel=arguments.channel)
            truth = fit_label(read_label(case.label), image)
            label = segment(trainer, dataset, case.image, image, mirror=False)
            found.append(mean_dice(dice_per_class(truth.array, label.array, entry.values)) or 0.0)
        return sum(found) / len(found)

    folder = arguments.work / f"set_{index}"
    most = 0.0 if arguments.predict_now else arguments.most
    schedule = Schedule(arguments.minutes, most, arguments.steps)
    names = ", ".join(case.name for case in looked_at)
    whose = "the references" if looked_at is entry.references else "held back"
    curve = train(
        trainer, schedule, folder, look, f"nnU-Net, {len(entry.references)} references; {names}: {whose}"
    )
    about = {"minutes": curve[-1].minutes, "held_back_dice": curve[-1].dice, "looked_at": names}
    results.tell(**{f"set {index}": about})
    for query in entry.queries:
        image = read_image(query.image, channel=arguments.channel)
        label, cost = measured(
            lambda case=query, image=image: segment(
                trainer, dataset, case.image, image, mirror=not arguments.no_mirroring
            )
        )
        results.write(index, query.name, label, cost)
        logging.info("set %d: %s in %.0f s", index, query.name, cost.seconds)


def _held_back(chosen: draw.Draw, index: int) -> tuple:
    """A case that holds the set's classes, of another patient than its references and queries; or none."""
    from iris_core.evaluation.pairs import group_of
    from iris_core.volume_io import read_label

    entry = chosen.sets[index]
    taken = {group_of(case, chosen.groups) for case in (*entry.references, *entry.queries)}
    for case in chosen.cases:
        if group_of(case, chosen.groups) not in taken and set(entry.values) <= set(
            read_label(case.label).values
        ):
            return (case,)
    return ()


def _environment(work: Path) -> None:
    for part in ("raw", "preprocessed", "results"):
        folder = (work / part).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[f"nnUNet_{part}"] = str(folder)


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers with commas, found {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
