"""`iris demo`: sample studies, one labelled study of each kind as reference, all others pre-labelled."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from iris_core.cli.console import Console
    from iris_core.cli.engine import Engine
    from iris_core.prediction import Prediction
    from iris_core.task.task import Task
    from iris_core.volume.volume import LabelVolume, Volume
    from iris_core.volume_io.folder.raw_dataset import RawDataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--output", type=Path, default=Path("iris-demo"), metavar="FOLDER", help="(default: iris-demo)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        metavar="DATASET",
        help="own studies in nnU-Net's raw layout; repeat for several",
    )
    parser.add_argument(
        "--queries", type=options.count, metavar="N", help="studies to pre-label of each kind"
    )
    options.add_model_options(parser)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 when a study failed.

    Raises:
        IrisError: wrong use or bad input.
    """
    import time

    from iris_core.cli.console import Console
    from iris_core.cli.engine import Engine
    from iris_core.runs.folder_run import require_writable
    from iris_core.runs.preview import contact_sheet, save_picture
    from iris_core.runs.report import NOTICE, to_json
    from iris_core.volume_io.folder.raw_dataset import RawDataset

    started = time.perf_counter()
    console = Console(quiet=arguments.quiet)
    require_writable(arguments.output)
    datasets = [
        RawDataset.open(folder) for folder in arguments.data or _sample_studies(arguments.output, console)
    ]
    engine = Engine(arguments.checkpoint, arguments.device, console, arguments.settings)
    records, pictures = [], []
    for dataset in datasets:
        record, drawn = _prelabel(dataset, arguments, engine, console)
        records.append(record)
        pictures += drawn
    sheet = arguments.output / "demo.png"
    save_picture(contact_sheet(pictures), sheet)
    if arguments.json:
        print(to_json({"notice": NOTICE, "picture": str(sheet), "datasets": records}))
    else:
        kind = "own studies" if arguments.data else "synthetic studies: smoke figures, no measure of quality"
        print(f"Dice above is on {kind}.")
        print(f"Pictures: {sheet}, and one a study beside the labels in {arguments.output / 'prelabels'}")
        print(f"{time.perf_counter() - started:.0f} s in all. {NOTICE}")
    return 1 if any(record["summary"]["failures"] for record in records) else 0


def _sample_studies(output: Path, console: Console) -> list[Path]:
    from sample_data.make_phantoms import make_phantoms

    console.note("making sample studies")
    return make_phantoms(output / "studies", 0)


def _prelabel(
    dataset: RawDataset, arguments: argparse.Namespace, engine: Engine, console: Console
) -> tuple[dict, list[Image.Image]]:
    """Segments a dataset's other studies with its first: labels, pictures, and a table on stdout."""
    from iris_core.evaluation.measurement import Bench
    from iris_core.evaluation.pairs import ReferenceSet
    from iris_core.evaluation.record import as_record
    from iris_core.evaluation.summary import summarise
    from iris_core.evaluation.table import table
    from iris_core.runs.preview import overlay, save_picture
    from iris_core.volume.label_grid import fit_label
    from iris_core.volume_io import case_name, read_image, read_label, write_label

    reference, *queries = dataset.cases
    folder = arguments.output / "prelabels" / dataset.folder.resolve().name
    image = read_image(reference.image)
    label = fit_label(read_label(reference.label, labels=dataset.label_names), image)
    pictures = [
        overlay(image, label, title=f"{dataset.folder.name}: {reference.name}, the one labelled study")
    ]

    def encode(references: Sequence[tuple[Volume, LabelVolume]], classes: Sequence[str] | None) -> Task:
        return engine.encode(references, classes=classes, modality=dataset.modality)

    def apply(task: Task, image: Volume) -> Prediction:
        name = case_name(image.source or "query")
        prediction = engine.apply(task, image, name)
        write_label(prediction.label, folder / f"{name}.nii.gz")
        pictures.append(overlay(image, prediction.label, title=f"{name}, pre-labelled"))
        save_picture(pictures[-1], folder / f"{name}.png")
        return prediction

    held = set(label.values)
    values = tuple(value for value in dataset.names if value in held)
    names = {value: dataset.names[value] for value in values}
    bar = console.bar(len(queries[: arguments.queries]), "study")
    bench = Bench(names, {}, encode, apply)
    measurement = bench.measure(
        [ReferenceSet((reference,), tuple(queries[: arguments.queries]), values)], step=lambda _: bar.update()
    )
    bar.close()
    summary = summarise(measurement, names)
    if not arguments.json:
        print(
            f"{dataset.folder.name}: {reference.name} is the reference, {summary.pairs} studies pre-labelled"
        )
        print(table(summary), end="\n\n")
    for failure in summary.failures:
        console.note(f"failed: {failure}")
    return as_record(
        dataset.folder, arguments.words, engine.weights, engine.device, measurement, summary, names
    ), pictures
