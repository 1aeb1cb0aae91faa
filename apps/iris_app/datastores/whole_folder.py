"""WholeFolder: the host's folder datastore, which writes labels and its index whole or not at all.

The host copies a label over the old one, and writes its index in place: a full disk or a killed server leaves
half of either. Here the new file is written beside the old one and moved over it. Whoever keeps old versions
is asked before a label is replaced or removed.

The host also empties its list of studies and fills it again whenever a file comes or goes, while other
threads read it: these fail. Here one thread at a time reads or changes the list.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from filelock import FileLock
from monailabel.datastore.local import DataModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException

from apps.iris_app.lib.state import LEFTOVER
from iris_core.errors import PassingError
from iris_core.stored.checksum import checksum
from iris_core.volume_io.suffix import READABLE, SEGMENTATION

log = logging.getLogger(__name__)

PART = ".part"  # no pattern of the host's matches it
# The host's methods that read or change the list of studies and wait for nobody meanwhile.
LISTING = """
    _init_from_datastore_file _reconcile_datastore add_image update_image_info update_label_info datalist json
    list_images get_labeled_images get_unlabeled_images get_image_uri get_image_info get_label_uri
    get_label_info get_labels_by_image_id set_name set_description
""".split()


def one_thread_at_a_time(folder: type[WholeFolder]) -> type[WholeFolder]:
    """Lets one thread at a time into the methods of LISTING; a thread that is in may call the others."""

    def guarded(method: Callable) -> Callable:
        @wraps(method)
        def alone(self: WholeFolder, *args: Any, **kwargs: Any) -> Any:
            with self._listing:
                return method(self, *args, **kwargs)

        return alone

    for name in LISTING:
        setattr(folder, name, guarded(getattr(folder, name)))
    return folder


@dataclass(frozen=True)
class CurrentLabel:
    """The label of a study that counts now.

    Attributes:
        file: on this machine.
        mark: by which it is recognised: the file's checksum, or the UID of a SEG series.
        info: what the datastore keeps with it.
    """

    file: Path
    mark: str
    info: dict


@one_thread_at_a_time
class WholeFolder(LocalDatastore):
    """The host's class, made safe.

    Args:
        datastore_path: folder of labels and index, and of the images unless they lie elsewhere.
        images: folder of the images where it is another one; nothing is written into it.
        remembered_info: called with (study, tag, file) for a label that appears in the folder by itself;
            gives what was known of it before, or {}.
        kwargs: what the host's class takes.

    Attributes:
        before_change: called with (study, tag) before a label is replaced or removed; an error stops that.
        index_lags: the index could not be written; what is known is only in memory.
    """

    before_change: Callable[[str, str], object] | None = None
    index_lags = False

    def __init__(
        self,
        datastore_path: str,
        images: Path | None = None,
        remembered_info: Callable[[str, str, Path], dict] | None = None,
        **kwargs: Any,
    ) -> None:
        self._listing = threading.RLock()  # held for moments; always taken before the lock file
        self._remembered_info = remembered_info
        self._images_dir = str(images) if images else "."
        super().__init__(datastore_path, images_dir=self._images_dir, **kwargs)
        if hasattr(self, "_handler"):  # the host's batch saves in a process of its own, by this class too
            self._handler.on_moved = self._on_moved
            self._handler.dispatch = self._handle
            if images is not None:
                self._observer.schedule(self._handler, str(images))

    def current_label(self, study: str, tag: str) -> CurrentLabel | None:
        """The label of a study under a tag, listed by the host or not yet; None where there is none."""
        listed = self.get_label_uri(study, tag)
        files = [Path(listed)] if listed and Path(listed).is_file() else []
        files += _named_like(Path(self._datastore.label_path(tag)), study, "")
        if not files:
            return None
        return CurrentLabel(files[0], checksum(files[0]), dict(self.get_label_info(study, tag) or {}))

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict) -> str:
        """Saves a label; the one before stays whole until the new one is.

        Raises:
            ImageNotFoundException: no such study.
            PassingError: the disk is full, say.
        """
        self._about_to_change(image_id, label_tag)
        _, ext = self._to_id(Path(label_filename).name)
        folder = Path(self._datastore.label_path(label_tag))
        target = folder / self._filename(image_id, ext)
        with (
            _copied_beside(Path(label_filename), target) as copy,
            self._listing,
            FileLock(self._lock_file),
        ):
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise ImageNotFoundException(f"Image {image_id} not found")
            _sweep(folder)
            copy.replace(target)
            for other in _named_like(folder, image_id, target.name):  # the same label in another format
                other.unlink(missing_ok=True)
            info = {**(label_info or {}), "ts": int(time.time()), "name": target.name}
            known.labels[label_tag] = DataModel(info=info, ext=ext)
            self._write_index()
        return image_id

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Removes a label in whatever format it lies there."""
        self._about_to_change(label_id, label_tag)
        with self._listing, FileLock(self._lock_file):
            for path in _named_like(Path(self._datastore.label_path(label_tag)), label_id, ""):
                path.unlink(missing_ok=True)
            known = self._datastore.objects.get(label_id)
            if known is not None and known.labels.pop(label_tag, None) is not None:
                self._write_index()

    def write_index(self) -> None:
        """Writes the index again; after a full disk it may lag behind what is known."""
        with self._listing, FileLock(self._lock_file):
            self._write_index()

    def status(self) -> dict[str, Any]:
        """How many studies there are, how many are labelled, and how many labels each tag has."""
        total, completed = len(self.list_images()), len(self.get_labeled_images())
        with self._listing:
            tags = Counter(tag for known in self._datastore.objects.values() for tag in known.labels)
        return {"total": total, "completed": completed, "label_tags": dict(tags)}

    def _about_to_change(self, study: str, tag: str) -> None:
        if self.before_change is not None:
            self.before_change(study, tag)

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Takes over the index, which may have been written where the images lay elsewhere."""
        super()._init_from_datastore_file(throw_exception)
        self._datastore.images_dir = self._images_dir

    def _handle(self, event: Any) -> None:
        """Handles a change of the folder; a failure must not end the only thread that watches it."""
        try:
            type(self._handler).dispatch(self._handler, event)
        except Exception:
            log.exception("the folder's list could not be brought up to date after %s", event)

    def _on_moved(self, event: Any) -> None:
        """Takes up what another process has moved to its place: a label, or the index."""
        if event.dest_path == self._datastore_config_path:
            self._init_from_datastore_file()
        else:
            self._on_any_event(event)

    def _to_id(self, file: str) -> tuple[str, str]:
        """(study, suffix) of a file name; to the host the .seg of Slicer's .seg.nrrd is part of the id."""
        suffix = next((suffix for suffix in SEGMENTATION if file.lower().endswith(suffix)), "")
        return (file[: -len(suffix)], file[-len(suffix) :]) if suffix else super()._to_id(file)

    def _add_non_existing_labels(self, tag: str) -> int:
        """Takes up labels that lie in the folder, with the names that they had when they were submitted."""
        before = {study for study, known in self._datastore.objects.items() if tag in known.labels}
        added = super()._add_non_existing_labels(tag)
        for study, known in self._datastore.objects.items() if added else ():
            if study in before or tag not in known.labels or self._remembered_info is None:
                continue
            file = Path(self._datastore.label_path(tag)) / self._filename(study, known.labels[tag].ext)
            known.labels[tag].info = {**self._remembered_info(study, tag, file), **known.labels[tag].info}
        return added

    def _update_datastore_file(self, lock: bool = True) -> None:
        if lock:
            self.write_index()
        else:
            self._write_index()

    def _write_index(self) -> None:
        """Writes the index; one that cannot be written is no reason to refuse a label that is saved."""
        index = Path(self._datastore_config_path)
        text = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
        part = index.with_name(f".{index.name}{PART}")
        try:
            _write_whole(part, text.encode())
            part.replace(index)
            self._config_ts = index.stat().st_mtime
        except OSError as error:
            part.unlink(missing_ok=True)
            self.index_lags = True
            log.error("%s cannot be written: %s", index, error.strerror)
        else:
            self.index_lags = False


@contextmanager
def _copied_beside(source: Path, target: Path) -> Iterator[Path]:
    """A whole copy of a file, hidden in the folder of its target; it goes at the end unless it was moved."""
    part = target.with_name(f".{target.name}.{os.getpid()}{PART}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        with open(part, "rb+") as written:
            os.fsync(written.fileno())
        yield part
    except OSError as error:
        raise PassingError(
            "The label cannot be written", found=error.strerror, remedy="make room, then submit it again"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _write_whole(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _named_like(folder: Path, study: str, but: str) -> list[Path]:
    """The label files of a study in every format, but for one name."""
    names = {f"{study}{suffix}" for suffix in READABLE} - {but}
    return [folder / name for name in names if (folder / name).is_file()]


def _sweep(folder: Path) -> None:
    """Removes what a killed server has left half written."""
    for path in folder.glob(f".*{PART}") if folder.is_dir() else ():
        if time.time() - path.stat().st_mtime > LEFTOVER:
            path.unlink(missing_ok=True)
