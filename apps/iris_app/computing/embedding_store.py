"""EmbeddingStore: every reference is encoded once and kept as a task card beside the datastore.

A card is named after its study, the label's checksum, the weights and the voxel sizes it was made at. It
holds one embedding a class, so classes are chosen without encoding again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from apps.iris_app.catalogue.catalogue import Catalogue, Outdated, ReferenceEntry
from apps.iris_app.catalogue.study import Study
from apps.iris_app.lib.state import State, digest, file_word, read_json, write_json
from iris_core.errors import CardError, InputError, PassingError, may_pass
from iris_core.preprocessing.modality import detect_modality
from iris_core.preprocessing.spacing import choose_spacing
from iris_core.remarks import Remark, listening, texts
from iris_core.segmenter import Segmenter
from iris_core.task.card import load_card, save_card
from iris_core.task.close_up import Views, choose_views
from iris_core.task.reference import Reference, joined_classes
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.volume.label_grid import fit_label, refuse_the_image
from iris_core.volume_io import read_image

log = logging.getLogger(__name__)

Spacing = tuple[float, float, float]
MOST_READ = 16  # cards that stay in memory


@dataclass(frozen=True)
class Facts:
    """What is known of a reference before it is encoded.

    Args:
        modality: "ct", "mr" or "pet".
        spacing: that "auto" gives for all of its classes in the whole study, mm.
        views: that "auto" gives with close-ups.
        remarks: what a person should know: of the files, and of a label that was drawn in some slices only.
    """

    modality: str
    spacing: Spacing
    views: Views
    remarks: tuple[str, ...] = ()


class EmbeddingStore:
    """Gives embeddings of references, from disk or from the network.

    Args:
        state: where they are kept.
        segmenter: the network.
        fingerprint: of its weights.
    """

    def __init__(self, state: State, segmenter: Segmenter, fingerprint: str) -> None:
        self.state, self.segmenter, self.fingerprint = state, segmenter, fingerprint
        self._facts: dict[Path, Facts] = {}
        self._read: dict[str, Task] = {}  # by name of the card, the latest last
        self._lock = threading.Lock()  # held while a reference is encoded, so that none is encoded twice

    def facts(self, catalogue: Catalogue, entry: ReferenceEntry, sparse: str = "no") -> Facts:
        """Modality and working voxel size of a reference.

        Args:
            catalogue: studies and class numbers.
            entry: the reference.
            sparse: how it is labelled (iris_core.volume.unknown.SPARSE).

        Raises:
            PassingError: a fault that may pass, such as a full disk.
            InputError: image or label cannot be read, or do not belong together.
        """
        close_up = self.segmenter.settings.close_up
        word = f"{self._word(catalogue, entry, sparse)}-{digest(asdict(close_up))}"
        path = self._folder(entry) / f"{word}.json"
        if path in self._facts:
            return self._facts[path]
        kept = read_json(path, None)
        if kept is None or not kept.keys() & {"problem", "remarks"}:  # of an older version
            try:
                with listening() as heard:
                    reference = read_reference(catalogue, entry)
                remarks = [*_lines(heard, catalogue.studies[entry.study]), *reference.gap_lines(sparse)]
                reference = reference.completed(sparse)
                spacing = choose_spacing(reference.image, reference.label, "auto")
                views = choose_views(reference, joined_classes([reference], entry.classes), close_up)
                kept = {
                    "modality": detect_modality(reference.image).name,
                    "spacing": spacing,
                    "whole": views.spacing,
                    "looks": views.close_ups,
                    "remarks": remarks,
                }
            except Outdated:
                raise
            except InputError as error:
                if may_pass(error):  # no fault of the reference, and nobody remembers it as one
                    raise PassingError(str(error)) from error
                kept = {"problem": str(error)}
            write_json(kept, path)
        if "problem" in kept:
            raise InputError(kept["problem"])
        close_ups = tuple((tuple(names), tuple(size)) for names, size in kept["looks"])
        views = Views(tuple(kept["whole"]), close_ups)
        self._facts[path] = Facts(kept["modality"], tuple(kept["spacing"]), views, tuple(kept["remarks"]))
        return self._facts[path]

    def get(self, catalogue: Catalogue, entry: ReferenceEntry, views: Views, sparse: str = "no") -> Task:
        """The task of one reference; classes too small for the voxel size are left out.

        Args:
            catalogue: studies and class numbers.
            entry: the reference.
            views: at which voxel sizes it is seen.
            sparse: how it is labelled.

        Raises:
            InputError: image or label cannot be read, or no class is left.
        """
        modality = self.facts(catalogue, entry, sparse).modality
        seen = digest(
            self.segmenter.settings.method(self.fingerprint), entry.study, views.spacing, views.close_ups
        )
        word = f"{self._word(catalogue, entry, sparse)}-{self.fingerprint}-{seen}"
        with self._lock:
            if word not in self._read:
                self._read[word] = self._stored(catalogue, entry, views, modality, word, sparse)
                for oldest in list(self._read)[:-MOST_READ]:
                    del self._read[oldest]
            return self._read[word]

    def _stored(
        self, catalogue: Catalogue, entry: ReferenceEntry, views: Views, modality: str, word: str, sparse: str
    ) -> Task:
        path = self._folder(entry) / f"{word}.safetensors"
        if path.is_file():
            try:
                return load_card(path, self.fingerprint)
            except CardError as error:
                log.warning("encoding again: %s", error)
        try:
            reference = read_reference(catalogue, entry)
        except InputError as error:
            if may_pass(error) and not isinstance(error, Outdated):
                raise PassingError(str(error)) from error
            raise
        task = self._encode(reference, entry, modality, views, sparse)
        save_card(task, path)
        self._forget_others(catalogue, entry)
        return task

    def _encode(
        self, reference: Reference, entry: ReferenceEntry, modality: str, views: Views, sparse: str
    ) -> Task:
        def encode(classes: tuple[str, ...]) -> Task:
            return encode_task(
                self.segmenter, [reference], classes=classes, modality=modality, spacing=views,
                strategy="one-shot", sparse=sparse,
            )  # fmt: skip

        try:
            return encode(entry.classes)
        except InputError as error:
            usable = tuple(name for name in entry.classes if len(entry.classes) > 1 and _works(encode, name))
            if not usable:
                raise
            log.warning("%s: only %s can be used: %s", entry.study, ", ".join(usable), error)
            return encode(usable)

    def _folder(self, entry: ReferenceEntry) -> Path:
        return self.state.embeddings / file_word(entry.study)

    @staticmethod
    def _word(catalogue: Catalogue, entry: ReferenceEntry, sparse: str = "no") -> str:
        word = f"{entry.checksum}-{digest(catalogue.studies[entry.study].stamp)[:8]}"
        return word if sparse == "no" else f"{word}-{sparse}"

    def _forget_others(self, catalogue: Catalogue, entry: ReferenceEntry) -> None:
        """Removes what was kept of earlier labels of this study."""
        current = self._word(catalogue, entry)
        for path in self._folder(entry).iterdir():
            if not path.name.startswith((current, ".")):
                path.unlink(missing_ok=True)


def read_reference(catalogue: Catalogue, entry: ReferenceEntry) -> Reference:
    """Image and final label of a study, the label on the image's grid and in the register's numbers.

    Raises:
        InputError: one cannot be read, or they do not belong together.
    """
    image = read_image(catalogue.studies[entry.study].image)
    label = fit_label(catalogue.label_of(entry.study), image)
    refuse_the_image(image, label)
    return Reference(image, label, entry.study)


def _lines(heard: list[Remark], study: Study) -> list[str]:
    """Remarks on a study's image and label, by its id."""
    of_image = [one for one in heard if one.where == study.image]
    of_label = [one for one in heard if one.where != study.image]
    return [*texts(of_image, study.id), *texts(of_label, f"the label of {study.id}")]


def _works(encode: Callable[[tuple[str, ...]], object], name: str) -> bool:
    try:
        encode((name,))
    except InputError:
        return False
    return True
