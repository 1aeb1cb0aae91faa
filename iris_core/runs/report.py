"""The record of a run as JSON: versions, weights, task, every case with seconds, warnings, failures."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from iris_core import __version__
from iris_core.errors import InputError
from iris_core.runs.folder_run import Job, Outcome, Plan
from iris_core.volume_io import LeftOut, atomic_path

NOTICE = "Research use, not a medical device."
DISTRIBUTIONS = "torch numpy scipy nibabel SimpleITK monai safetensors pillow pydicom".split()


@dataclass
class RunReport:
    """What `iris segment` did.

    Attributes:
        command: the words of the command line.
        plan: which image becomes which file.
        device: where the network ran; empty where no image was left to segment.
        weights: preset, fingerprint and file of the weights.
        task: classes, modality, spacing, strategy and origin of the task.
        outcomes: what became of each job.
        seconds: wall time of the whole run.
        warnings: sentences about the run as a whole.
    """

    command: Sequence[str]
    plan: Plan
    device: str = ""
    weights: dict = field(default_factory=dict)
    task: dict = field(default_factory=dict)
    outcomes: Sequence[Outcome] = ()
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """The cases without a result."""
        return [outcome for outcome in (*self.plan.refused, *self.outcomes) if outcome.failure]

    @property
    def tried(self) -> int:
        """How many cases were to be segmented."""
        return len(self.plan.refused) + len(self.outcomes)

    @property
    def left_out(self) -> list[LeftOut]:
        """What was not segmented though it lay among the queries, with the reason."""
        plan = self.plan
        known = [LeftOut(job.query, "is a reference") for job in plan.references]
        known += [LeftOut(job.query, "has a result already, which is kept") for job in plan.kept]
        found = [LeftOut(one.job.query, one.left_out) for one in self.outcomes if one.left_out]
        return sorted([*plan.left_out, *known, *found], key=lambda entry: entry.path)

    def as_dict(self) -> dict:
        """The manifest, in plain JSON types."""
        plan = self.plan
        cases = [_outcome_entry(outcome) for outcome in (*plan.refused, *self.outcomes)]
        cases += [_entry(job, "kept", reason="the result was there already") for job in plan.kept]
        cases += [_entry(job, "skipped", reason="the file is a reference") for job in plan.references]
        return {
            "notice": NOTICE,
            "command": list(self.command),
            "versions": versions(),
            "device": self.device,
            "weights": self.weights,
            "task": self.task,
            "seconds": round(self.seconds, 3),
            "cases": sorted(cases, key=lambda case: case["name"]),
            "left_out": [{"path": str(entry.path), "reason": entry.reason} for entry in self.left_out],
            "failures": [outcome.job.name for outcome in self.failures],
            "warnings": self.warnings,
        }


def versions() -> dict[str, str | None]:
    """The version of Python and of each library that a result depends on; None where one is missing."""
    found: dict[str, str | None] = {"python": platform.python_version(), "iris": __version__}
    for name in DISTRIBUTIONS:
        try:
            found[name.lower()] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name.lower()] = None
    return found


def to_json(data: object) -> str:
    """Data as indented JSON; a number that JSON lacks (nan) is an error.

    Bytes of a file name that are no UTF-8 stand as JSON's own escapes.
    """
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(data: object, path: str | Path) -> None:
    """Writes data as JSON, whole or not at all; an InputError says why a place cannot be written to."""
    with atomic_path(path) as hidden:
        hidden.write_text(to_json(data) + "\n", encoding="utf-8")


def refuse_as_record(path: Path, inputs: Sequence[Path]) -> None:
    """Refuses to write a record over an input, or where a folder stands.

    Raises:
        InputError: `path` is one of the inputs or a folder.
    """
    if path.resolve() in {entry.resolve() for entry in inputs}:
        raise InputError("the record would replace an input", where=path, remedy="choose another file")
    if path.is_dir():
        raise InputError("is a folder", where=path, expected="a file to write", remedy="choose another file")


def _outcome_entry(outcome: Outcome) -> dict:
    if outcome.left_out:
        return _entry(outcome.job, "skipped", reason=outcome.left_out)
    seconds = round(outcome.seconds, 3)
    if outcome.failure:
        return _entry(outcome.job, "failed", seconds=seconds, failure=outcome.failure) | {"output": None}
    return _entry(outcome.job, "done", seconds=seconds, **outcome.details)


def _entry(job: Job, status: str, **facts: object) -> dict:
    return {
        "name": job.name,
        "status": status,
        "query": str(job.query),
        "output": str(job.output),
        **facts,
    }
