"""ResultStore: finished segmentations, each named after everything it was computed from.

A result is found again only while nothing it depends on has changed. The record is written after the label,
so a result whose record is there is whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from apps.iris_app.catalogue.catalogue import Catalogue, ReferenceEntry
from apps.iris_app.lib.options import Options
from apps.iris_app.lib.state import State, digest, file_word, read_json, stamp, write_json
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_label, write_label

KEPT = 4  # results a study, the newest


@dataclass(frozen=True)
class Result:
    """A finished segmentation.

    Attributes:
        study: its id.
        key: of all that the result depends on.
        path: label file.
        record: in JSON types.
    """

    study: str
    key: str
    path: Path
    record: dict

    def label(self) -> LabelVolume:
        """The label with names and colours."""
        names = {entry["idx"]: entry["name"] for entry in self.record["classes"]}
        colors = {entry["idx"]: tuple(entry["color"]) for entry in self.record["classes"]}
        return replace(read_label(self.path, labels=names), colors=colors)


class ResultStore:
    """Results by study and key.

    A record is read once: the host watches the folder, and every opened file costs it milliseconds.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._read: dict[Path, tuple[str, dict]] = {}  # what was read of a file, and its stamp then

    def find(self, study: str, key: str) -> Result | None:
        """The result, or None where it has to be computed; one that failed is found too."""
        record = self._record(self._path(study, key, ".json"))
        return None if record is None else Result(study, key, self._path(study, key, ".nii.gz"), record)

    def put(self, study: str, key: str, label: LabelVolume, record: dict) -> Result:
        """Keeps a result; the oldest ones of the study go."""
        write_label(label, self._path(study, key, ".nii.gz"))
        write_json(record, self._path(study, key, ".json"))
        self._forget_old(study)
        return Result(study, key, self._path(study, key, ".nii.gz"), record)

    def put_problem(self, study: str, key: str, sentence: str) -> None:
        """Remembers that a study could not be segmented, and why."""
        write_json({"problem": sentence}, self._path(study, key, ".json"))

    def likeness(self, study: str, key: str) -> dict[str, float] | None:
        """Per class how much a study looks like the references; None where it is not known yet."""
        return self._record(self._path(study, key, ".likeness"))

    def latest_likeness(self, study: str) -> dict[str, float]:
        """The newest likeness that was measured for a study, whatever has changed since; else empty."""
        files = self._path(study, "", "").parent.glob("[!.]*.likeness")
        newest = max(files, key=lambda path: path.stat().st_mtime, default=None)
        return {} if newest is None else read_json(newest, {})

    def put_likeness(self, study: str, key: str, likeness: dict[str, float]) -> None:
        """Keeps how much a study looks like the references."""
        write_json(likeness, self._path(study, key, ".likeness"))

    def usual_seconds(self) -> float | None:
        """Mean seconds that the results took which were read so far; None where none was."""
        seconds = [record["seconds"] for _, record in list(self._read.values()) if "seconds" in record]
        return sum(seconds) / len(seconds) if seconds else None

    def _record(self, path: Path) -> dict | None:
        """The content of a JSON file; None where there is none."""
        now = stamp(path)
        if not now:
            self._read.pop(path, None)
            return None
        when, record = self._read.get(path, ("", {}))
        if when != now:
            record = read_json(path, None)
            if record is not None:
                self._read[path] = (now, record)
        return record

    def _path(self, study: str, key: str, suffix: str) -> Path:
        return self.state.results / file_word(study) / f"{key}{suffix}"

    def _forget_old(self, study: str) -> None:
        folder = self._path(study, "", "").parent
        records = sorted(folder.glob("[!.]*.json"), key=lambda path: path.stat().st_mtime)
        for record in records[:-KEPT]:
            for suffix in (".json", ".nii.gz", ".likeness"):
                record.with_suffix(suffix).unlink(missing_ok=True)


def result_key(
    catalogue: Catalogue, study: str, options: Options, references: Sequence[ReferenceEntry], weights: str
) -> str:
    """A word for everything a result depends on.

    Args:
        catalogue: studies and class numbers.
        study: the query's id.
        options: of the request.
        references: that may be used.
        weights: a word for the network with its settings, and for a tuned embedding where one is used.

    Raises:
        InputError: the study is gone.
    """
    if study not in catalogue.studies:
        raise InputError("is not in the datastore any more", where=study)
    used = [(r.study, r.checksum, catalogue.studies[r.study].stamp) for r in references]
    numbers = catalogue.register.numbers
    held = sorted((name, numbers[name]) for name in {n for r in references for n in r.classes})
    return digest(weights, options.decisive, used, held, study, catalogue.studies[study].stamp)
