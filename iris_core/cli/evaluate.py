"""`iris evaluate`: Dice on a labelled dataset, beside copying the reference's mask on the same pairs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.cli import draw, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iris_core.evaluation.measurement import Peer, Question
    from iris_core.evaluation.pairs import ReferenceSet
    from iris_core.evaluation.peers.folder import PeerFolder
    from iris_core.evaluation.peers.masks_by_field import FindField
    from iris_core.task.task import Task
    from iris_core.volume.volume import LabelVolume, Volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    draw.add_arguments(parser)
    task = parser.add_argument_group("task")
    task.add_argument(
        "--strategy", choices=options.STRATEGIES, default=None, help="(default: ensemble for several)"
    )
    task.add_argument(
        "--modality",
        choices=("auto", "ct", "mr", "pet"),
        default=None,
        help="(default: what dataset.json says, else detected)",
    )
    task.add_argument(
        "--spacing",
        type=options.spacing,
        default=None,
        metavar="auto|paper|MM",
        help="voxel size to work at (default: auto)",
    )
    options.add_sparse(task)
    options.add_model_options(parser)
    peers = parser.add_argument_group("peers and results")
    peers.add_argument(
        "--registration",
        action="store_true",
        help="measure registration (affine, B-splines, vote) on the same pairs; seconds to minutes a pair",
    )
    peers.add_argument(
        "--convexadam",
        action="store_true",
        help="measure ConvexAdam after an affine registration on the same pairs (needs the extra `peers`); "
        "seconds to a minute a pair",
    )
    peers.add_argument(
        "--peer",
        action="append",
        type=_named_folder,
        default=[],
        metavar="NAME=FOLDER",
        help="measure label maps that another method made of the same pairs, FOLDER/SET/QUERY.nii.gz with "
        "sets counted from 0; a missing one counts as 0; repeat for several",
    )
    peers.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write every pair, after each, and the summary at the end; - for stdout, at the end",
    )
    peers.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="draw every pair's Dice by class and method"
    )


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 when some pairs failed.

    Raises:
        IrisError: wrong use or bad input.
    """
    import sys

    from iris_core.cli.console import Console
    from iris_core.cli.engine import Engine
    from iris_core.cli.notices.unnamed_values import unnamed_in
    from iris_core.evaluation.measurement import Bench, Measurement, Pair
    from iris_core.evaluation.picture import draw_picture
    from iris_core.evaluation.record import as_record
    from iris_core.evaluation.summary import Summary, summarise
    from iris_core.evaluation.table import table
    from iris_core.runs.folder_run import require_writable
    from iris_core.runs.report import refuse_as_record, to_json, write_json

    console = Console(quiet=arguments.quiet)
    to_file = arguments.json is not None and str(arguments.json) != "-"
    if to_file:
        refuse_as_record(
            arguments.json, [arguments.dataset / "dataset.json", arguments.groups or arguments.dataset]
        )
        require_writable(arguments.json.parent)
    if arguments.picture is not None:
        require_writable(arguments.picture.parent)
    chosen = draw.drawn(arguments)
    dataset, names, sets = chosen.dataset, chosen.names, chosen.sets
    for line in unnamed_in(chosen.found, dataset.label_names, dataset.folder / "dataset.json"):
        console.warn(line)
    peers = _peers(arguments, sets)
    for entry in sets:
        if entry.missing:
            lacking = ", ".join(names[value] for value in entry.missing)
            console.warn(
                f"{', '.join(case.name for case in entry.references)} lacks {lacking}: not asked there"
            )
    engine = Engine(arguments.checkpoint, arguments.device, console, arguments.settings)

    def encode(references: Sequence[tuple[Volume, LabelVolume]], classes: Sequence[str] | None) -> Task:
        return engine.encode(
            references,
            classes=classes,
            strategy=arguments.strategy,
            spacing=arguments.spacing,
            modality=arguments.modality or dataset.modality,
            sparse=arguments.sparse,
            seed=arguments.seed,
        )

    def record_of(found: Measurement, figures: Summary | None) -> dict:
        how = arguments.words, engine.weights, engine.device
        return as_record(dataset.folder, *how, found, figures, names, asked=asked)

    def keep(pair: Pair) -> None:
        bar.update()
        so_far.append(pair)
        if to_file:  # a run that is ended leaves what it has
            write_json(record_of(Measurement(tuple(so_far), ()), None), arguments.json)

    asked = sum(len(entry.queries) for entry in sets)
    so_far: list[Pair] = []
    bar = console.bar(asked, "pair")
    bench = Bench(
        names,
        chosen.groups,
        encode,
        engine.apply,
        arguments.channel,
        peers,
        ignored=dataset.ignored,
        sparse=arguments.sparse or "no",
    )
    measurement = bench.measure(sets, step=keep)
    bar.close()
    summary = summarise(measurement, names, seed=arguments.seed)
    record = record_of(measurement, summary)
    if to_file:
        write_json(record, arguments.json)
    if arguments.json is not None and not to_file:
        print(to_json(record))
    else:
        print(f"{dataset.folder.name}: {len(sets)} reference sets, {summary.pairs} pairs")
        print(table(summary))
    if arguments.picture is not None:
        draw_picture(measurement, names, arguments.picture, title=dataset.folder.name)
    for failure in summary.peer_failures:
        console.warn(f"counted as 0: {failure}")
    for failure in summary.failures:
        print(f"iris evaluate: failed: {failure}", file=sys.stderr)
    return 1 if summary.failures else 0


def _peers(arguments: argparse.Namespace, sets: Sequence[ReferenceSet]) -> dict[str, Peer]:
    from iris_core.errors import InputError
    from iris_core.evaluation.measurement import COPY, MODEL
    from iris_core.evaluation.peers.convex_adam import affine_and_displacements, require_convex_adam
    from iris_core.evaluation.peers.folder import PeerFolder
    from iris_core.evaluation.peers.registration import affine_and_splines

    peers: dict[str, Peer] = {}
    if arguments.registration:
        peers["registration"] = _by_field(affine_and_splines, arguments.seed)
    if arguments.convexadam:
        require_convex_adam()
        peers["convexadam"] = _by_field(affine_and_displacements, arguments.seed)
    for name, folder in arguments.peer:
        if name in (MODEL, COPY, *peers):
            raise InputError("two methods of one name", where="--peer", found=name, remedy="choose another")
        peers[name] = _stored(PeerFolder.open(folder, sets))
    return peers


def _stored(folder: PeerFolder) -> Peer:
    from iris_core.evaluation.cost import Cost
    from iris_core.evaluation.measurement import Answer

    def answer(question: Question) -> Answer:
        label = folder.read(question.set_index, question.query, question.image)
        return Answer(label, folder.cost(question.set_index, question.query) or Cost(None))

    return answer


def _by_field(find_field: FindField, seed: int) -> Peer:
    """A peer that carries masks over by a field between two images, in the model's modality and spacing."""
    from iris_core.errors import InputError
    from iris_core.evaluation.measurement import Answer
    from iris_core.evaluation.peers.masks_by_field import masks_by_field

    def answer(question: Question) -> Answer:
        if question.task is None:
            raise InputError("takes the model's modality and spacing, and the model made no task here")
        task = question.task
        label = masks_by_field(
            question.references, question.image, question.values, find_field,
            modality=task.modality, spacing=task.spacing, seed=seed,
        )  # fmt: skip
        return Answer(label)

    return answer


def _named_folder(text: str) -> tuple[str, Path]:
    name, found, folder = text.partition("=")
    if not name.strip() or not found or not folder:
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER, found {text!r}")
    return name.strip(), Path(folder)
