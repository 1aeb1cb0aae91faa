"""Submissions: a label takes the place of another one, and both are kept.

The new label is kept in the history first, then it becomes the one that counts. A server that is killed in
between leaves the old label in its place and the new one in the history.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile

from apps.iris_app.datastores.whole_folder import CurrentLabel, WholeFolder
from apps.iris_app.history.history import History
from apps.iris_app.history.seen import Seen, Sender
from apps.iris_app.history.version import Version
from apps.iris_app.lib.state import State
from apps.iris_app.submissions.check import check_label
from iris_core.errors import InputError

log = logging.getLogger(__name__)

OURS = ("iris", "submitted")  # keys of a label's info that only the server writes


@dataclass(frozen=True)
class Receipt:
    """What becomes of a submission.

    Attributes:
        label: id of the label.
        version: as it is kept.
        warnings: what the sender should know.
    """

    label: str
    version: Version
    warnings: tuple[str, ...]


class Submissions:
    """Changes the labels of a datastore, and keeps every version.

    Args:
        state: where versions are kept.
        datastore: ours, a folder's or an archive's.
        machine_made: says whether a study's original label is just as the server wrote it.
    """

    def __init__(self, state: State, datastore: WholeFolder, machine_made: Callable[[str], bool]) -> None:
        self.history, self.seen = History(state), Seen(state)
        self._datastore, self._machine_made = datastore, machine_made
        datastore.before_change = self.keep_current

    def submit(
        self, study: str, tag: str, label: Path, info: dict, sender: Sender,
        *, knows: str = "", must_match: str = "", empty: bool = False,
    ) -> Receipt:  # fmt: skip
        """Makes a checked label the one that counts.

        Args:
            study: id of the image.
            tag: such as "final".
            label: the file, in the image's grid.
            info: what the datastore keeps with it.
            sender: who submits it.
            knows: checksum of the version that the sender says they have seen.
            must_match: checksums, one of which must be that of the label that is there now.
            empty: nothing is drawn, and that is meant.

        Raises:
            Superseded: the label that is there now is another one than must be.
            PassingError: the disk is full, say; the label that was there still is.
        """
        with self.history.lock(study):
            before = self.keep_current(study, tag)
            warnings = self._unseen(study, tag, before, sender, knows, must_match)
            info = {key: value for key, value in info.items() if key not in OURS}
            older = {version.number for version in self.history.versions(study)}
            version = self.history.keep(study, tag, label, sender.user, info)
            submitted = {"user": sender.user, "version": version.number, "checksum": version.checksum}
            try:
                saved = self._datastore.save_label(
                    study, str(label), tag, {**info, "submitted": {**submitted, "empty": empty}}
                )
            except BaseException:
                if version.number not in older:
                    self.history.drop(version)
                raise
            version = self._placed(version)
            self.history.prune(study, tag)  # last, for an older version goes only when the new one counts
            self.seen.note(sender, study, tag, version.mark, version.number)
            return Receipt(saved, version, tuple(warnings))

    def delete(self, study: str, tag: str) -> Version | None:
        """Removes a label, which stays in the history; gives its version, None where there is no label.

        Raises:
            PassingError: it cannot be kept, so it stays where it is.
        """
        with self.history.lock(study):
            before = self.keep_current(study, tag)
            if self._datastore.current_label(study, tag) is None:
                return None
            self._datastore.remove_label(study, tag)
            return before

    def restore(self, study: str, number: int, image: Path, sender: Sender) -> Receipt:
        """Makes a kept version the label that counts again; the one before it is kept.

        Args:
            study: id of the image.
            number: of the version.
            image: the image's file, to which the version has to belong.
            sender: who asks for it.

        Raises:
            InputError: there is no such version, or it does not belong to the image any more.
            PassingError: the disk is full, say; the label that was there still is.
        """
        with self.history.lock(study), tempfile.TemporaryDirectory() as scratch:
            version = next((v for v in self.history.versions(study) if v.number == number), None)
            if version is None:
                raise InputError("The history has no such version", where=study, found=number)
            before = self.keep_current(study, version.tag)
            file = self.history.file(version)
            if file.suffix == ".dcm":
                saved = self._datastore.save_seg(study, file)
            else:
                copy = Path(scratch) / file.name
                copyfile(file, copy)
                checked = check_label(copy, image, allow_empty=True)
                submitted = {"user": version.user, "version": number, "checksum": version.checksum}
                submitted |= {"empty": not checked.values, "restored_by": sender.user}
                info = {**version.info, "submitted": submitted}
                saved = self._datastore.save_label(study, str(checked.file), version.tag, info)
            version = self._placed(version)
            self.seen.note(sender, study, version.tag, version.mark, version.number)
            if before is None or before.number == number:
                return Receipt(saved, version, ())
            said = f"version {before.number} of {before.user or 'somebody unknown'} is replaced and kept"
            return Receipt(saved, version, (said,))

    def current(self, study: str, tag: str) -> CurrentLabel | None:
        """The label that counts now, None where there is none."""
        return self._datastore.current_label(study, tag)

    def given(self, study: str, tag: str, label: CurrentLabel, sender: Sender) -> None:
        """Notes that a sender has the label that counts now in front of them.

        Raises:
            PassingError: the history cannot be read.
        """
        version = version_of(label, self.history.versions(study, tag))
        self.seen.note(sender, study, tag, label.mark, version.number if version else None)

    def keep_current(self, study: str, tag: str) -> Version | None:
        """Keeps the label that counts now, unless the server made it; gives its version.

        Raises:
            PassingError: it cannot be kept.
        """
        with self.history.lock(study):
            current = self._datastore.current_label(study, tag)
            if current is None or (tag == "original" and self._machine_made(study)):
                return None
            known = version_of(current, self.history.versions(study, tag))
            if known is not None:
                return self.history.placed(known)
            info = {key: value for key, value in current.info.items() if key not in OURS}
            user = str((current.info.get("submitted") or {}).get("user") or "")
            kept = self.history.keep(study, tag, current.file, user, info, current.mark)
            return self.history.placed(kept)

    def _placed(self, version: Version) -> Version:
        """Notes that a version counts now, by the mark of the datastore's own copy."""
        current = self._datastore.current_label(version.study, version.tag)
        return self.history.placed(version, current.mark if current else "")

    def _unseen(
        self, study: str, tag: str, before: Version | None, sender: Sender, knows: str, must_match: str
    ) -> list[str]:
        """A warning where the sender has not seen the label that they replace."""
        words = {before.checksum, before.mark} if before else set()
        wanted = {word.strip().strip('"') for word in must_match.split(",")} - {""}
        if wanted and not (wanted & words) and not (before and "*" in wanted):
            raise Superseded(
                "The label has changed meanwhile, and nothing is saved", where=study,
                expected=", ".join(sorted(wanted)), found=before.checksum if before else "no label",
                remedy=f"look at it, then submit again; GET /history/{study} lists the versions",
            )  # fmt: skip
        if before is None or (knows and knows in words):
            return []
        if self.seen.has(sender, before, self.history.versions(study)):
            return []
        return [
            f"this replaces version {before.number} of {before.user or 'somebody unknown'} ({before.time}), "
            f"which you have not seen; it is kept: POST /history/{study}?version={before.number} restores it"
        ]


def version_of(label: CurrentLabel, versions: Sequence[Version]) -> Version | None:
    """The version that a label is: of those with its voxels and names the one that was used last."""
    known = [v for v in versions if label.mark in (v.mark, v.checksum)]
    known = [v for v in known if v.names_like(label.info)] or known
    return max(known, key=lambda version: version.order, default=None)


class Superseded(InputError):
    """The label that was to be replaced is not the one that the sender expects."""
