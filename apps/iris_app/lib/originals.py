"""Originals: results saved to the datastore, without ever taking a person's work away.

What we wrote is remembered by checksum, before it is written: a file that differs from it was edited by a
person. One that was on its way when the server was killed is written again, unless somebody edited it since.
Whether a label is there the disk says, or the archive, and not the host, which lists a file a moment later.
"""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import FileLock
from monailabel.interfaces.datastore import Datastore

from apps.iris_app.computing.result_store import Result, ResultStore
from apps.iris_app.datastores.datastore_view import FINAL, ORIGINAL
from apps.iris_app.lib.state import State, read_json, write_json
from iris_core.errors import InputError
from iris_core.stored.checksum import checksum
from iris_core.volume_io.suffix import suffix_of

log = logging.getLogger(__name__)


class Originals:
    """Saves results under the tags `original` and `final`.

    Args:
        state: where the ledger is kept.
        datastore: where results go.
    """

    def __init__(self, state: State, datastore: Datastore) -> None:
        self._path, self._datastore = state.originals, datastore
        self._results = ResultStore(state)
        self._lock = FileLock(f"{state.originals}.lock")  # a batch of the host saves from its own process

    def save(self, result: Result, tag: str) -> None:
        """Saves a result under a tag.

        Raises:
            InputError: a final label is there already, or would be empty; a person edited the original.
        """
        if tag == FINAL and not result.record["label_info"]:
            raise InputError("nothing was found, and an empty label is no final one", where=result.study)
        with self._lock:
            if tag == FINAL and self._has_final(result.study):
                raise InputError(
                    "has a final label already, which is never overwritten", where=result.study,
                    remedy="remove that label first, or save as original",
                )  # fmt: skip
            if tag == ORIGINAL:
                if not self.ours(result.study):
                    raise InputError(
                        "has an original label that was edited, which is never overwritten",
                        where=result.study,
                    )
                self._note(result, "pending")
            self._datastore.save_label(result.study, str(result.path), tag, _info(result))
            if tag == ORIGINAL:
                self._note(result, "saved")

    def publish(self, result: Result) -> bool:
        """Saves a pre-label as original unless it or a person's work is there; says whether it did."""
        entry = self._entry(result.study)
        if entry.get("key") == result.key and entry.get("is") == "saved":
            return False
        final = self._datastore.get_label_by_image_id(result.study, FINAL) or self._files(result.study, FINAL)
        if final or not self.ours(result.study):
            return False
        self.save(result, ORIGINAL)
        return True

    def ours(self, study: str) -> bool:
        """Whether a study's original may be replaced: there is none, or it is just as we wrote it."""
        entry = self._entry(study)
        if not entry:
            entry = (self._datastore.get_label_info(study, ORIGINAL) or {}).get("iris", {})
        return all(self._wrote(study, entry, path) for path in self._files(study, ORIGINAL))

    def _wrote(self, study: str, entry: dict, path: Path) -> bool:
        """Whether a file is what we wrote, or what a crash left of our writing."""
        found = checksum(path)
        if found == entry.get("checksum"):
            return True
        if entry.get("is") != "pending":
            return False
        whole = self._results.find(study, entry["key"])
        cut = whole is not None and whole.path.is_file() and _begins(whole.path, path)
        return cut or found == entry.get("before")

    def _has_final(self, study: str) -> bool:
        """Whether a study has a final label now."""
        ask = getattr(self._datastore, "has_final_now", None)  # our DICOM datastore asks its archive
        known = self._datastore.get_label_by_image_id(study, FINAL)
        return ask(study) if ask else bool(known or self._files(study, FINAL))

    def _files(self, study: str, tag: str) -> list[Path]:
        """The label files of a study that lie on the disk, listed by the host or not."""
        folder = Path(self._datastore._datastore.label_path(tag))
        listed = self._datastore.get_label_by_image_id(study, tag) and tag == ORIGINAL
        files = {Path(self._datastore.get_label_uri(study, tag))} if listed else set()
        files |= {folder / name for name in _names(folder) if name == study + (suffix_of(Path(name)) or "?")}
        return [path for path in files if path.is_file()]

    def _entry(self, study: str) -> dict:
        return read_json(self._path, {}).get(study, {})

    def _note(self, result: Result, state: str) -> None:
        entry = {"key": result.key, "checksum": checksum(result.path), "is": state}
        if state == "pending":
            entry["before"] = next((checksum(path) for path in self._files(result.study, ORIGINAL)), "")
        write_json({**read_json(self._path, {}), result.study: entry}, self._path)


def _info(result: Result) -> dict:
    """What goes with the label: names and colours of what is present, and Slicer's names of all values."""
    return {
        "label_info": result.record["label_info"],
        "params": {"label_names": result.record["label_names"]},
        "iris": {
            "key": result.key,
            "checksum": checksum(result.path),
            "references_used": result.record["references_used"],
        },
    }


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _begins(whole: Path, part: Path) -> bool:
    """Whether one file is the beginning of another."""
    size = part.stat().st_size
    if size > whole.stat().st_size:
        return False
    with open(whole, "rb") as file:
        return file.read(size) == part.read_bytes()
