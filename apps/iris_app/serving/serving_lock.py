"""ServingLock: the right to serve a datastore, held as long as the serving process lives."""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import FileLock, Timeout

from apps.iris_app.lib.state import State
from apps.iris_app.serving.folder_lock import FolderLock
from apps.iris_app.serving.holder import name_holder, note_holder
from apps.iris_app.serving.places import is_archive, lock_folders
from iris_core.errors import InputError

log = logging.getLogger(__name__)

FILE = "serve.lock"
PATIENCE = 3.0  # seconds in which other starts may look at the lock
GLANCE = 0.5  # seconds of such a look, in which others look too


class ServingLock:
    """The right to serve a datastore: locks on the studies themselves and on the state folder.

    A lock that cannot be had because a place is read-only, or because its file system has no locks, is passed
    over; one that another process holds is a refusal. The locks must be taken by the process that serves: one
    that is taken before another program takes the process over is lost.

    Args:
        studies: folder or URL of an archive.
        state: of the datastore.
    """

    def __init__(self, studies: str, state: State) -> None:
        logging.getLogger("filelock").setLevel(logging.WARNING)  # it reports every step
        self._studies, self._folders = studies, lock_folders(studies, state)
        self._held: list[FolderLock | FileLock] = []

    def acquire(self, patience: float = PATIENCE) -> None:
        """Takes the locks and notes who holds them.

        Args:
            patience: seconds to try.

        Raises:
            InputError: another server serves these studies or uses this state folder; the message names its
                process.
        """
        self._take_all(patience)
        note_holder(self._folders)

    def require_free(self) -> None:
        """Looks whether the locks can be taken, without keeping them.

        Raises:
            InputError: another server has one.
        """
        self._take_all(GLANCE)
        self.release()

    def release(self) -> None:
        """Gives the locks back."""
        while self._held:
            self._held.pop().release()

    def _take_all(self, patience: float) -> None:
        for lock in self._locks():
            try:
                lock.acquire(timeout=patience)
            except Timeout as error:
                self.release()
                raise self._refusal(lock.lock_file) from error
            except (OSError, NotImplementedError) as error:
                log.debug("%s takes no lock: %s", lock.lock_file, error)
            else:
                self._held.append(lock)
        if not self._held:
            log.warning("%s: no lock can be taken, so a second server would not be noticed", self._studies)

    def _locks(self) -> list[FolderLock | FileLock]:
        """All locks, in the order in which every server takes them."""
        folder = [] if is_archive(self._studies) else [FolderLock(Path(self._studies))]
        for place in self._folders:
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError as error:  # the lock on the studies themselves is left
                log.debug("%s cannot be made: %s", place, error)
        return folder + [FileLock(place / FILE) for place in self._folders]

    def _refusal(self, locked: str) -> InputError:
        return InputError(
            "These studies, or their state folder, are in use by another server",
            where=self._studies if locked == self._studies else Path(locked).parent,
            found=name_holder(locked, self._folders),
            remedy="use that server, or end it first",
        )
