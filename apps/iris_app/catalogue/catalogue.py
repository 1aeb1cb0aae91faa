"""Catalogue: the studies of a datastore, which of them are references, and what their classes are called.

The server keeps it up to date and writes it; the job and the worker read it. A label is read again only
when it or its names change.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from apps.iris_app.catalogue.class_register import ClassRegister
from apps.iris_app.catalogue.drawn import Drawn, named_alike, read_drawn
from apps.iris_app.catalogue.final_label import NAME_FILES, in_register, read_final
from apps.iris_app.catalogue.study import FinalLabel, Study
from apps.iris_app.lib.state import State, digest, read_json, stamp, write_json
from apps.iris_app.retries.pauses import Pauses
from iris_core.errors import InputError, IrisError, may_pass
from iris_core.volume.label_names import is_ignored
from iris_core.volume.volume import LabelVolume

log = logging.getLogger(__name__)

FORM = 2  # of an entry; raised when entries hold more, so that labels are read again


class Outdated(InputError):
    """A file changed after it was catalogued; the next catalogue will tell."""


@dataclass(frozen=True)
class ReferenceEntry:
    """A final label as it was last read.

    Attributes:
        study: id of its study.
        checksum: of the label file and the names of its values.
        classes: names in the register of what is drawn; empty where the label cannot be used.
        since: grows with every study that becomes a reference; the oldest one sets the working voxel size.
        problem: why the label cannot be used, as a sentence.
        seen: stamp and names at the last reading; "" where the reading failed and may succeed later.
        drawn: what the label itself says of its values.
        names: (value, name) of each value, also where the name comes from the other labels.
        note: what a person should know of the names, or "".
    """

    study: str
    checksum: str
    classes: tuple[str, ...]
    since: int
    problem: str
    seen: str
    drawn: Drawn = field(default_factory=Drawn)
    names: tuple[tuple[int, str], ...] = ()
    note: str = ""

    @classmethod
    def from_json(cls, entry: dict) -> ReferenceEntry:
        """The inverse of `asdict`."""
        names = tuple((value, name) for value, name in entry.get("names", ()))
        drawn = Drawn.from_json(entry.get("drawn", {}))
        return cls(**{**entry, "classes": tuple(entry["classes"]), "names": names, "drawn": drawn})


class Catalogue:
    """Studies, references and class numbers.

    Args:
        state: where it is kept.
        folder: of the images, where one file may name all values; None takes what was kept.
    """

    def __init__(self, state: State, folder: Path | None = None) -> None:
        self.state = state
        self._lock = threading.Lock()  # held while labels are read
        self._unwritten = False
        self._pauses = Pauses()  # of labels whose reading failed and may succeed later
        self.read = read_drawn  # the server has large labels read elsewhere
        self._swap = threading.Lock()  # held while studies and references change together
        kept = read_json(state.catalogue, {})
        self.folder = folder or (Path(kept["folder"]) if kept.get("folder") else None)
        self.register = ClassRegister(
            (name, tuple(color), bool(brought and brought[0]))
            for name, color, *brought in kept.get("classes", ())
        )
        self.studies = {s.id: s for s in map(Study.from_json, kept.get("studies", ()))}
        self.references = {
            r["study"]: ReferenceEntry.from_json(r) for r in kept.get("references", ())
        }

    @property
    def usable(self) -> list[ReferenceEntry]:
        """References that can be used, oldest first."""
        usable = (r for r in self.references.values() if r.classes and not r.problem)
        return sorted(usable, key=lambda r: r.since)

    @property
    def unlabelled(self) -> list[Study]:
        """Studies without a final label, by id."""
        return [self.studies[key] for key in sorted(self.studies) if self.studies[key].final is None]

    @property
    def problems(self) -> dict[str, str]:
        """Study -> why its final label is left out."""
        return {r.study: r.problem for r in self.references.values() if r.problem}

    @property
    def notes(self) -> dict[str, str]:
        """Study -> what a person should know of the names of its final label."""
        return {r.study: r.note for r in self.references.values() if r.note}

    def refresh(self, studies: Iterable[Study]) -> bool:
        """Takes over what the datastore says now, reads labels that are new or changed, and writes itself.

        Args:
            studies: gone through under the lock, so that of two lazy listings the later one counts.

        Returns:
            Whether anything changed.
        """
        with self._lock:
            found = {study.id: study for study in studies}
            references = self._references(found.values())
            if not self._unwritten and found == self.studies and references == self.references:
                return False
            self._unwritten = True  # until the last line: a disk may be full, and the job reads the file
            with self._swap:
                self.studies, self.references = found, references
            named = {name for s in found.values() if s.final for name in s.final.names.values()}
            self.register.forget(named | {name for r in references.values() for name in r.classes})
            self._write()
            self._unwritten = False
            return True

    def retry(self) -> None:
        """Lets labels be read again at once whose reading failed and may succeed now."""
        self._pauses.end()

    def snapshot(self) -> Catalogue:
        """The catalogue as it is now; another thread may refresh this one meanwhile."""
        with self._swap:
            return copy.copy(self)

    def name_classes(self, names: Mapping[int, str]) -> None:
        """Gives numbers to class names before their label has been read; never waits for a label.

        Args:
            names: value -> name; a name takes the number that its bare value had before.
        """
        for value, name in names.items():
            if is_ignored(name):
                continue
            self.register.rename(f"label_{value}", name)
            self.register.add(name)

    def label_of(self, study: str) -> LabelVolume:
        """The final label of a study, in the register's names and numbers.

        Raises:
            Outdated: the file is not the one that was catalogued.
            InputError: it cannot be read.
        """
        final = self.studies[study].final
        if final is None or (final.path.is_file() and stamp(final.path) != final.stamp):
            raise Outdated("its final label has just changed", where=study, remedy="ask again")
        label = read_final(final, self.folder)
        known = self.references.get(study)
        names = {**label.names, **dict(known.names if known else ())}
        return in_register(replace(label, names=names), self.register)

    def _references(self, studies: Iterable[Study]) -> dict[str, ReferenceEntry]:
        """An entry for every final label; the known one where nothing changed."""
        named = [stamp(self.folder / name) for name in NAME_FILES] if self.folder else []
        latest = max((r.since for r in self.references.values()), default=0)
        entries = {}
        for study in studies:
            if study.final is None:
                continue
            known = self.references.get(study.id)
            seen = digest(FORM, study.to_json()["final"], named)
            if known is None or (known.seen != seen and not self._pauses.waits(study.id)):
                latest += known is None
                known = self._read(study.id, study.final, known.since if known else latest, seen)
            entries[study.id] = known
        return named_alike(entries, self.register)

    def _read(self, study: str, final: FinalLabel, since: int, seen: str) -> ReferenceEntry:
        try:
            drawn = self.read(final, self.folder)
        except (IrisError, OSError) as error:
            log.warning("the final label of %s is left out: %s", study, error)
            if may_pass(error):
                self._pauses.failed(study)
                return ReferenceEntry(study, "", (), since, str(error), "")
            return ReferenceEntry(study, "", (), since, str(error), seen)
        self._pauses.succeeded(study)
        return ReferenceEntry(study, drawn.checksum, (), since, "", seen, drawn)

    def _write(self) -> None:
        write_json(
            {
                "folder": str(self.folder) if self.folder else None,
                "classes": self.register.entries,
                "studies": [s.to_json() for s in self.studies.values()],
                "references": [asdict(r) for r in self.references.values()],
            },
            self.state.catalogue,
        )
