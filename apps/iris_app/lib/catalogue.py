"""Catalogue: the studies of a datastore, which of them are references, and what their classes are called.

The server keeps it up to date and writes it; the job and the worker read it. A label is read again only
when it or its names change.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from apps.iris_app.lib.class_register import ClassRegister
from apps.iris_app.lib.final_label import NAME_FILES, in_register, read_final
from apps.iris_app.lib.state import State, checksum, digest, read_json, stamp, write_json
from apps.iris_app.lib.study import FinalLabel, Study
from iris_core.errors import InputError, IrisError

log = logging.getLogger(__name__)


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
        seen: stamp and names at the last reading.
    """

    study: str
    checksum: str
    classes: tuple[str, ...]
    since: int
    problem: str
    seen: str


class Catalogue:
    """Studies, references and class numbers.

    Args:
        state: where it is kept.
        folder: of the images, where one file may name all values; None takes what was kept.
    """

    def __init__(self, state: State, folder: Path | None = None) -> None:
        self.state = state
        self._lock = threading.Lock()  # held while labels are read
        self._swap = threading.Lock()  # held while studies and references change together
        kept = read_json(state.catalogue, {})
        self.folder = folder or (Path(kept["folder"]) if kept.get("folder") else None)
        self.register = ClassRegister((name, tuple(color)) for name, color in kept.get("classes", ()))
        self.studies = {s.id: s for s in map(Study.from_json, kept.get("studies", ()))}
        self.references = {
            r["study"]: ReferenceEntry(**{**r, "classes": tuple(r["classes"])})
            for r in kept.get("references", ())
        }

    @property
    def usable(self) -> list[ReferenceEntry]:
        """References that can be used, oldest first."""
        return sorted((r for r in self.references.values() if not r.problem), key=lambda r: r.since)

    @property
    def unlabelled(self) -> list[Study]:
        """Studies without a final label, by id."""
        return [self.studies[key] for key in sorted(self.studies) if self.studies[key].final is None]

    @property
    def problems(self) -> dict[str, str]:
        """Study -> why its final label is left out."""
        return {r.study: r.problem for r in self.references.values() if r.problem}

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
            if found == self.studies and references == self.references:
                return False
            with self._swap:
                self.studies, self.references = found, references
            named = {name for s in found.values() if s.final for name in s.final.names.values()}
            self.register.forget(named | {name for r in references.values() for name in r.classes})
            self._write()
            return True

    def snapshot(self) -> Catalogue:
        """The catalogue as it is now; another thread may refresh this one meanwhile."""
        with self._swap:
            return copy.copy(self)

    def name_classes(self, names: Iterable[str]) -> None:
        """Gives numbers to class names before their label has been read; never waits for a label."""
        for name in names:
            self.register.add(name)

    def label_of(self, study: str):
        """The final label of a study, in the register's names and numbers.

        Raises:
            Outdated: the file is not the one that was catalogued.
            InputError: it cannot be read.
        """
        final = self.studies[study].final
        if final is None or (final.path.is_file() and stamp(final.path) != final.stamp):
            raise Outdated("its final label has just changed", where=study, remedy="ask again")
        return in_register(read_final(self.studies[study].final, self.folder), self.register)

    def _references(self, studies: Iterable[Study]) -> dict[str, ReferenceEntry]:
        """An entry for every final label; the known one where nothing changed."""
        named = [stamp(self.folder / name) for name in NAME_FILES] if self.folder else []
        latest = max((r.since for r in self.references.values()), default=0)
        entries = {}
        for study in studies:
            if study.final is None:
                continue
            known = self.references.get(study.id)
            seen = digest(study.final.stamp, str(study.final.path), sorted(study.final.names.items()), named)
            if known is None or known.seen != seen:
                latest += known is None
                known = self._read(study.id, study.final, known.since if known else latest, seen)
            entries[study.id] = known
        return entries

    def _read(self, study: str, final: FinalLabel, since: int, seen: str) -> ReferenceEntry:
        try:
            read = read_final(final, self.folder)
            word = digest(checksum(final.path), [(value, read.name_of(value)) for value in read.values])
            label = in_register(read, self.register)
        except (IrisError, OSError) as error:
            log.warning("the final label of %s is left out: %s", study, error)
            return ReferenceEntry(study, "", (), since, str(error), seen)
        return ReferenceEntry(study, word, tuple(map(self.register.name, label.values)), since, "", seen)

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
