"""History: every label that was submitted, replaced or deleted, kept in the state folder.

A study has a folder of its own. A version is a label file and a record; the record is written last, so what
has one is whole. Numbers and order never come from the clock, which may jump.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from apps.iris_app.history.seen import Sender
from apps.iris_app.history.version import Version, now
from apps.iris_app.lib.state import State, file_word, write_json
from iris_core.errors import PassingError
from iris_core.stored.checksum import checksum
from iris_core.volume_io import atomic_path
from iris_core.volume_io.suffix import suffix_of

log = logging.getLogger(__name__)

RECORD = re.compile(r"\d{6,}\.json")
MOST = 20  # versions of one study, tag and user
PATIENCE = 60.0  # seconds to wait for another process that changes the same study


class History:
    """The versions of all studies.

    Args:
        state: where they are kept.
    """

    def __init__(self, state: State) -> None:
        self._root = state.history
        self._held = threading.local()  # studies that this thread has locked

    @contextmanager
    def lock(self, study: str) -> Iterator[None]:
        """Keeps all other threads and processes from changing a study's labels meanwhile.

        A thread that holds the lock may ask for it again.

        Raises:
            PassingError: the history folder cannot be written to, or another process holds on to the study.
        """
        held = self._held.__dict__.setdefault("studies", set())
        if study in held:
            yield
            return
        folder = self._folder(study)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / ".lock", timeout=PATIENCE)
            lock.acquire()
        except Timeout as error:
            raise PassingError("another request changes this study's label", where=study) from error
        except OSError as error:
            raise _unusable(error) from error
        held.add(study)
        try:
            yield
        finally:
            held.discard(study)
            lock.release()

    def versions(self, study: str, tag: str | None = None) -> list[Version]:
        """The versions of a study, in the order of their numbers; of one tag or of all.

        Raises:
            PassingError: the history folder cannot be read.
        """
        folder = self._folder(study)
        try:
            names = [name for name in self._names(study) if RECORD.fullmatch(name)]
            found = [version for name in names if (version := _read(folder / name)) is not None]
        except OSError as error:
            raise _unusable(error) from error
        found.sort(key=lambda version: version.number)
        return [version for version in found if tag in (None, version.tag)]

    def file(self, version: Version) -> Path:
        """The kept label of a version."""
        return self._folder(version.study) / version.file

    def keep(self, study: str, tag: str, label: Path, user: str, info: dict, mark: str = "") -> Version:
        """Keeps a copy of a label; the same file with the same names of the same user is not kept twice.

        Nothing that is kept already changes or goes: `placed` writes what is new of a version that was kept
        before, and `prune` drops what is too old.

        Args:
            study: id of the image.
            tag: under which the label is saved.
            label: the file.
            user: who submitted it; "" where nobody knows.
            info: what the datastore keeps with it.
            mark: see `Version`; the file's checksum where none is given.

        Raises:
            PassingError: the history folder cannot be written to.
        """
        word, versions = checksum(label), self.versions(study)
        order = max((version.order for version in versions), default=0) + 1
        mine = [version for version in versions if (version.tag, version.user) == (tag, user)]
        same = next((v for v in mine if v.checksum == word and v.names_like(info)), None)
        if same is not None:
            return replace(same, order=order, time=now(), info=info, mark=mark or same.mark)
        number = self._next_number(study)
        file = f"{number:06}{suffix_of(label) or label.suffix}"
        kept = Version(number, study, tag, user, now(), word, file, mark or word, order, info)
        with atomic_path(self._folder(study) / file) as part:
            shutil.copyfile(label, part)
        self._write(kept)
        return kept

    def placed(self, version: Version, mark: str = "") -> Version:
        """Notes that a version is the label that counts now, and by what the datastore's copy is recognised.

        Raises:
            PassingError: the history folder cannot be written to.
        """
        latest = max((other.order for other in self.versions(version.study)), default=0)
        version = replace(version, order=latest + 1, mark=mark or version.mark)
        self._write(version)
        return version

    def prune(self, study: str, tag: str) -> None:
        """Drops the oldest of more than twenty versions of each user; one that cannot be dropped stays.

        Nothing is dropped of what several people may have submitted: each may be somebody's last version.
        """
        theirs: dict[str, list[Version]] = {}
        for version in sorted(self.versions(study, tag), key=lambda version: version.order):
            if not Sender.may_be_several(version.user):
                theirs.setdefault(version.user, []).append(version)
        for old in (version for versions in theirs.values() for version in versions[:-MOST]):
            try:
                self.drop(old)
            except OSError as error:
                log.warning("version %d of %s is not dropped: %s", old.number, study, error)

    def drop(self, version: Version) -> None:
        """Forgets a version."""
        for path in (self._record(version), self.file(version)):
            path.unlink(missing_ok=True)

    def remembered_info(self, study: str, tag: str, file: Path) -> dict:
        """What was kept with a label of exactly this content when it was last submitted; else {}."""
        try:
            word = checksum(file)
            versions = [v for v in self.versions(study, tag) if word in (v.checksum, v.mark)]
        except (OSError, PassingError) as error:
            log.warning("the names of %s are not looked up: %s", file, error)
            return {}
        latest = max(versions, key=lambda version: version.order, default=None)
        return {} if latest is None else dict(latest.info)

    def _next_number(self, study: str) -> int:
        """One more than any file here has, also one that a killed process has left without a record."""
        numbers = (name.partition(".")[0] for name in self._names(study))
        return max((int(number) for number in numbers if number.isdecimal()), default=0) + 1

    def _names(self, study: str) -> list[str]:
        try:
            return [entry.name for entry in self._folder(study).iterdir()]
        except FileNotFoundError:
            return []

    def _write(self, version: Version) -> None:
        write_json(version.to_json(), self._record(version))

    def _record(self, version: Version) -> Path:
        return self._folder(version.study) / f"{version.number:06}.json"

    def _folder(self, study: str) -> Path:
        return self._root / file_word(study)


def _read(path: Path) -> Version | None:
    try:
        version = Version(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        log.warning("%s: a broken record of the history is left out", path)
        return None
    return version if (path.parent / version.file).is_file() else None


def _unusable(error: OSError) -> PassingError:
    return PassingError(
        "The history of labels cannot be used, so no label is replaced or deleted", found=error.strerror,
        remedy="make the folder 'history' in the server's state folder readable and writable",
    )  # fmt: skip
