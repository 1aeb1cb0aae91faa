"""`iris segment`: references or a task card in, a label for every query out."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tqdm import tqdm

    from iris_core.cli.console import Console
    from iris_core.runs.folder_run import Job, Outcome
    from iris_core.runs.report import RunReport
    from iris_core.task.task import Applicable
    from iris_core.volume.volume import LabelVolume, Volume


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    source = parser.add_mutually_exclusive_group(required=True)
    options.add_references(source)
    source.add_argument("--task", type=Path, metavar="CARD", help="task card from `iris encode`")
    source.add_argument("--bank", action="store_true", help="the classes that the weights were trained on")
    parser.add_argument(
        "--query",
        type=Path,
        required=True,
        metavar="FILE_OR_FOLDER",
        help="image, DICOM series folder, or folder of either",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE_OR_FOLDER",
        help="label file, or folder for labels under the queries' names",
    )
    options.add_task_options(parser)
    options.add_model_options(parser)
    options.add_channel(parser)
    parser.add_argument("--preview", action="store_true", help="write a picture of each result")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write a record of the run")
    parser.add_argument(
        "--overlaps",
        action="store_true",
        help="let structures overlap: results are .seg.nrrd with layers, not one value a voxel",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist")
    parser.add_argument("--json", action="store_true", help="print the record of the run on stdout")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command.

    Returns:
        0, or 1 when some cases of a folder failed.

    Raises:
        IrisError: wrong use or bad input.
    """
    from iris_core.cli.console import Console
    from iris_core.cli.notices.left_out import announce
    from iris_core.runs.folder_run import Outcome, Plan, plan_run, run_jobs
    from iris_core.runs.report import RunReport

    started = time.perf_counter()
    console = Console(quiet=arguments.quiet)
    _refuse_what_does_not_fit(arguments)
    pairs = arguments.reference or []
    plan: Plan = plan_run(
        arguments.query,
        arguments.output,
        inputs=[path for path in (arguments.task, arguments.labels) if path],
        references=[path for pair in pairs for path in pair],
        overwrite=arguments.overwrite,
        channel=arguments.channel,
        suffix=".seg.nrrd" if arguments.overlaps else None,
    )
    announce(plan, console)
    report = RunReport(command=arguments.words, plan=plan, warnings=console.warnings)
    outcomes: list[Outcome] = []
    if plan.jobs:
        work = _prepare(arguments, report, console)
        if plan.folder:
            bar = console.bar(len(plan.jobs), "case")
            outcomes = run_jobs(plan.jobs, work, done=lambda outcome: _tell(outcome, bar, console))
            bar.close()
        else:
            before = time.perf_counter()
            details = work(plan.jobs[0])
            outcomes = [Outcome(plan.jobs[0], time.perf_counter() - before, details=details)]
            _tell(outcomes[0], None, console)
    report.outcomes, report.seconds = outcomes, time.perf_counter() - started
    return _finish(report, arguments)


def _refuse_what_does_not_fit(arguments: argparse.Namespace) -> None:
    from iris_core.errors import InputError
    from iris_core.runs.folder_run import require_writable

    source = ""
    decided: tuple[str, ...] = ()
    if arguments.task:
        source, decided = "a task card", ("labels", "classes", "strategy", "modality", "spacing", "sparse")
    elif arguments.bank:
        source, decided = "the training", ("labels", "strategy", "spacing", "sparse")
    for name in decided:
        if getattr(arguments, name) is not None:
            raise InputError(
                f"{source} has decided this already",
                where=f"--{name}",
                remedy="leave it out, or segment with references",
            )
    if arguments.report:
        from iris_core.runs.report import refuse_as_record

        references = [path for pair in arguments.reference or [] for path in pair]
        inputs = [arguments.query, arguments.task, arguments.labels, *references]
        refuse_as_record(arguments.report, [path for path in inputs if path])
        require_writable(arguments.report.parent)


def _prepare(
    arguments: argparse.Namespace, report: RunReport, console: Console
) -> Callable[[Job], dict[str, Any]]:
    """Reads the references, loads the weights, makes the task; gives the function that does one job."""
    from iris_core.cli.engine import Engine, describe_task, task_line
    from iris_core.cli.notices.left_out import doubt_labels
    from iris_core.cli.references import check_classes, read_references
    from iris_core.volume_io import read_image, write_label

    references = read_references(
        arguments.reference or [], labels=arguments.labels, channel=arguments.channel, warn=console.warn
    )
    classes = check_classes(references, arguments.classes) if references else arguments.classes
    engine = Engine(arguments.checkpoint, arguments.device, console, arguments.settings)
    task: Applicable
    if arguments.bank:
        task = engine.bank(classes=classes, modality=arguments.modality)
    elif arguments.task:
        task = engine.load(arguments.task)
    else:
        task = engine.encode(
            references,
            classes=classes,
            strategy=arguments.strategy,
            modality=arguments.modality,
            spacing=arguments.spacing,
            sparse=arguments.sparse,
            seed=arguments.seed,
        )
    report.device, report.weights, report.task = engine.device, engine.weights, describe_task(task)

    def work(job: Job) -> dict[str, Any]:
        image = read_image(job.query, channel=arguments.channel)
        doubt_labels(image, console, folder=report.plan.folder)
        console.once(task_line(task))
        prediction = engine.apply(task, image, job.name)
        label = prediction.overlapping_label() if arguments.overlaps else prediction.label
        write_label(label, job.output)
        details = {
            "segment_seconds": round(prediction.seconds, 3),
            "references_used": {name: list(used) for name, used in prediction.references_used.items()},
            "quality": {name: round(float(value), 4) for name, value in prediction.quality.items()},
            "warnings": list(prediction.warnings),
        }
        if arguments.preview:
            details["preview"] = str(_picture(image, prediction.label, job))
        return details

    return work


def _picture(image: Volume, label: LabelVolume, job: Job) -> Path:
    from iris_core.runs.preview import overlay, save_picture

    path = job.output.parent / "previews" / f"{job.name}.png"
    save_picture(overlay(image, label, title=job.name), path)
    return path


def _tell(outcome: Outcome, bar: tqdm | None, console: Console) -> None:
    if bar is not None:
        bar.update()
    if outcome.failure:
        console.note(f"{outcome.job.name}: failed: {outcome.failure}")
        return
    if outcome.left_out:
        console.warn(f"{outcome.job.query} {outcome.left_out}; it is left out")
        return
    console.note(f"{outcome.job.output}  {outcome.seconds:.1f} s")
    for warning in outcome.details["warnings"]:
        console.note(f"  {outcome.job.name}: {warning}")


def _finish(report: RunReport, arguments: argparse.Namespace) -> int:
    import sys

    from iris_core.runs.report import to_json, write_json

    if arguments.report:
        write_json(report.as_dict(), arguments.report)
    if arguments.json:
        print(to_json(report.as_dict()))
    if not report.failures:
        return 0
    names = ", ".join(outcome.job.name for outcome in report.failures)
    print(
        f"iris segment: {len(report.failures)} of {report.tried} cases failed: {names}",
        file=sys.stderr,
    )
    return 1
