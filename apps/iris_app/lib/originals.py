"""Originals: results saved to the datastore, without ever taking a person's work away.

What we wrote is remembered by checksum, before it is written: a file that differs from it was edited by a
person, and one that was on its way when the server was killed is written again.
"""

from __future__ import annotations

import logging
from pathlib import Path

from filelock import FileLock
from monailabel.interfaces.datastore import Datastore

from apps.iris_app.lib.datastore_view import FINAL, ORIGINAL
from apps.iris_app.lib.result_store import Result
from apps.iris_app.lib.state import State, checksum, read_json, write_json
from iris_core.errors import InputError

log = logging.getLogger(__name__)


class Originals:
    """Saves results under the tags `original` and `final`.

    Args:
        state: where the ledger is kept.
        datastore: where results go.
    """

    def __init__(self, state: State, datastore: Datastore) -> None:
        self._path, self._datastore = state.originals, datastore
        self._lock = FileLock(f"{state.originals}.lock")  # a batch of the host saves from its own process

    def save(self, result: Result, tag: str) -> None:
        """Saves a result under a tag.

        Raises:
            InputError: a final label is there already, or a person has edited the original.
        """
        with self._lock:
            if tag == FINAL and self._datastore.get_label_by_image_id(result.study, FINAL):
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
        if self._datastore.get_label_by_image_id(result.study, FINAL) or not self.ours(result.study):
            return False
        self.save(result, ORIGINAL)
        return True

    def ours(self, study: str) -> bool:
        """Whether a study's original may be replaced: there is none, or it is just as we wrote it."""
        if not self._datastore.get_label_by_image_id(study, ORIGINAL):
            return True
        info = self._datastore.get_label_info(study, ORIGINAL) or {}
        entry = self._entry(study) or info.get("iris", {})
        path = Path(self._datastore.get_label_uri(study, ORIGINAL))
        return entry.get("is") == "pending" or (path.is_file() and checksum(path) == entry.get("checksum"))

    def _entry(self, study: str) -> dict:
        return read_json(self._path, {}).get(study, {})

    def _note(self, result: Result, state: str) -> None:
        entry = {"key": result.key, "checksum": checksum(result.path), "is": state}
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
