"""A batch over the images of a folder: what goes where, what stays, and going on after a bad case."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iris_core.errors import InputError, sentence_of
from iris_core.volume_io import Case, LeftOut, NotAnImage, case_name, survey
from iris_core.volume_io.folder.cases import Listing
from iris_core.volume_io.suffix import WRITABLE, suffix_of

LOG = logging.getLogger(__name__)

#: Formats that are read but not written, and what is written in their stead.
WRITTEN_AS = {".mhd": ".mha", ".nhdr": ".nrrd"}


@dataclass(frozen=True)
class Job:
    """One image to segment and the file that its result goes to."""

    name: str
    query: Path
    output: Path


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        jobs: images to segment, in name order.
        kept: jobs left alone because their result exists already.
        references: jobs left alone because their file is a reference's image or label.
        folder: True for a batch, False for one file.
        left_out: other entries of the query's folder, each with the reason why it is no image.
        refused: cases that fail before any work, because their file is in doubt.
    """

    jobs: tuple[Job, ...]
    kept: tuple[Job, ...] = ()
    references: tuple[Job, ...] = ()
    folder: bool = False
    left_out: tuple[LeftOut, ...] = ()
    refused: tuple[Outcome, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        job: the job.
        seconds: wall time, reading and writing included.
        failure: why there is no result, or None.
        left_out: why the file turned out to be no image, or None; that is no failure.
        details: facts of the job for the report.
    """

    job: Job
    seconds: float
    failure: str | None = None
    details: dict = field(default_factory=dict)
    left_out: str | None = None


def plan_run(
    query: str | Path,
    output: str | Path,
    *,
    inputs: Iterable[str | Path] = (),
    references: Iterable[str | Path] = (),
    overwrite: bool = False,
    channel: int | None = None,
    suffix: str | None = None,
) -> Plan:
    """Decides which image becomes which file, and proves that the place can be written to.

    A folder of images gives a folder of results under the same names (CASE_0000.nii.gz gives CASE.nii.gz);
    one image gives one file, or a file in `output` when that is a folder or has no known suffix.

    Args:
        query: an image, a folder with one DICOM series, or a folder of either.
        output: file or folder.
        inputs: files that must not be overwritten, beside queries and references.
        references: images and labels of references; in a folder they are not segmented.
        overwrite: replace results that exist.
        channel: channel to take of cases with several.
        suffix: of every result; None: that of its query.

    Raises:
        InputError: there is no such query, nothing in it can be segmented, there is no place to write, or the
            output is one of the inputs.
    """
    query, output = Path(query), Path(output)
    if not query.exists():
        raise InputError("no such file or folder", where=query, remedy="check --query")
    labelled = frozenset(Path(path).resolve() for path in references)
    if query.is_dir():
        listing = survey(query, channel=channel, apart=labelled)
    else:
        listing = Listing((Case(case_name(query), query),))
    if listing.refused and not (listing.cases or listing.apart):
        raise listing.refused[0].error
    cases = [*listing.cases, *listing.apart]
    one = len(cases) == 1 and (cases[0].path == query)
    into_folder = not one or output.is_dir() or not suffix_of(output)
    _refuse_unfit_output(output, query, folder=not one)
    if suffix and not into_folder and suffix_of(output) != suffix:
        raise InputError("a result of this kind needs another suffix", where=output, expected=suffix)
    names = [case.name + suffix if suffix else _result_name(case) for case in cases]
    jobs = [
        Job(case.name, case.path, output / name if into_folder else output)
        for case, name in zip(cases, names, strict=True)
    ]
    _refuse_overwriting_inputs(jobs, [*inputs, *references, *(case.path for case in cases)])
    others, skipped = jobs[: len(listing.cases)], jobs[len(listing.cases) :]
    kept = [job for job in others if job.output.exists() and not overwrite]
    require_writable(output if into_folder else output.parent)
    return Plan(
        tuple(job for job in others if job not in kept),
        tuple(kept),
        tuple(skipped),
        folder=not one,
        left_out=tuple(_named_output(entry, output) for entry in listing.left_out),
        refused=tuple(
            Outcome(Job(entry.name, entry.paths[0], output), 0.0, str(entry.error))
            for entry in listing.refused
        ),
    )


def run_jobs(
    jobs: Sequence[Job], work: Callable[[Job], dict], *, done: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Works through jobs one by one; an error ends its own job alone, and stands in the outcome.

    A file that turns out to be a segmentation is left out, which is no failure.

    Args:
        jobs: in their order.
        work: does one job and returns details for the report.
        done: called with each outcome as it comes.
    """
    outcomes = []
    for job in jobs:
        started, failure, left_out, details = time.perf_counter(), None, None, {}
        try:
            details = work(job)
        except NotAnImage as error:
            left_out = error.what
        except Exception as error:
            LOG.debug("case %s failed", job.name, exc_info=error)
            failure = sentence_of(error, job.query)
        outcomes.append(Outcome(job, time.perf_counter() - started, failure, details, left_out))
        done(outcomes[-1])
    return outcomes


def require_writable(folder: str | Path) -> None:
    """Makes a folder where it is missing and proves that a file can be written there.

    Raises:
        InputError: a file stands in the way, or the folder cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (FileExistsError, NotADirectoryError):
        raise _no_place("a file stands where a folder should be", folder) from None
    except OSError as error:
        raise _no_place("cannot be written to", folder, error.strerror) from None


def _no_place(what: str, where: Path, found: str | None = None) -> InputError:
    return InputError(what, where=where, found=found, remedy="choose another --output")


def _named_output(entry: LeftOut, output: Path) -> LeftOut:
    """What is left out, with a better reason where it is the folder of the results."""
    if entry.path.is_dir() and output.resolve() == entry.path.resolve():
        return LeftOut(entry.path, "is the folder of the results")
    return entry


def _refuse_unfit_output(output: Path, query: Path, *, folder: bool) -> None:
    if folder and suffix_of(output) and not output.is_dir():
        raise InputError(
            "one file cannot hold a folder's results",
            where=output,
            expected="a folder",
            remedy="give a folder as --output",
        )
    if folder and output.resolve() == query.resolve():
        raise _no_place("results would lie among the queries", output)
    if not folder and output.suffix and not output.is_dir() and suffix_of(output) not in WRITABLE:
        raise InputError(
            "a label cannot be written in this format",
            where=output,
            expected=", ".join(WRITABLE),
            found=output.suffix,
        )


def _result_name(case: Case) -> str:
    suffix = ".nii.gz" if case.path.is_dir() else suffix_of(case.path)
    suffix = WRITTEN_AS.get(suffix, suffix)
    return case.name + (suffix if suffix in WRITABLE else ".nii.gz")


def _refuse_overwriting_inputs(jobs: Sequence[Job], inputs: Iterable[str | Path]) -> None:
    taken = {Path(path).resolve() for path in inputs}
    for job in jobs:
        if job.output.resolve() in taken:
            raise _no_place("the output is one of the inputs", job.output)
        if job.output.is_dir():
            raise _no_place("a folder stands where the result should be", job.output)
