"""NamedDicomDatastore: the host's DICOMweb datastore with its silent traps taken out.

Segments keep their own names and codes, of several SEGs of a series the newest counts, MR is listed beside
CT, and a series is whole or not there at all.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from monailabel.config import settings
from monailabel.datastore.dicom import DICOMWebDatastore
from monailabel.datastore.utils.dicom import dicom_web_download_series
from pydicom.dataset import Dataset

from apps.iris_app.catalogue.study import FinalLabel, Study
from apps.iris_app.datastores.archive_labels import ArchiveLabels
from apps.iris_app.datastores.datastore_view import FINAL
from apps.iris_app.datastores.seg_series import SegSeries
from apps.iris_app.datastores.series_image import SeriesImages
from apps.iris_app.lib.state import State, read_json, stamp, write_json
from iris_core.errors import InputError

log = logging.getLogger(__name__)

REFRESH = 2.0  # seconds that an answer of the archive is good for
AGAIN = 60.0  # seconds after which a series that could not be brought here is tried again


class NamedDicomDatastore(ArchiveLabels):
    """Made from the host's own datastore by `in_place_of`."""

    @classmethod
    def in_place_of(cls, host: DICOMWebDatastore, state: State) -> NamedDicomDatastore:
        """A datastore on the same archive and the same folder; `state` keeps which SEGs count no more."""
        host._observer.stop()
        return cls(
            state=state,
            client=host._client,
            search_filter=host._search_filter,
            cache_path=settings.MONAI_LABEL_DICOMWEB_CACHE_PATH.strip() or None,
            fetch_by_frame=host._fetch_by_frame,
            convert_to_nifti=True,
        )

    def __init__(self, state: State, **kwargs: Any) -> None:
        self._fetching, self._fetching_seg = threading.RLock(), threading.Lock()
        self._images = SeriesImages()
        self._broken: dict[str, float] = {}  # series -> when it could not be brought here
        self._counts: dict[str, int | None] = {}  # images of each series at the last look, None: not told
        self._counts_before: dict[str, int | None] = {}
        self._listed: tuple[float, list[str]] = (-REFRESH, [])
        self._found: tuple[float, dict[str, SegSeries]] = (-REFRESH, {})
        super().__init__(state, **kwargs)
        self._ledger = Path(self._datastore_path) / "whole.json"
        kept = read_json(self._ledger, {})
        self._whole: dict[str, int | None] = kept if isinstance(kept, dict) else {}  # series -> its images

    def list_images(self) -> list[str]:
        """UIDs of the image series of all wanted modalities."""
        when, listed = self._listed
        if time.monotonic() - when > REFRESH:
            wanted = str(self._search_filter.get("Modality", "")).split("\\")
            filters = [{**self._search_filter, **({"Modality": m} if m else {})} for m in wanted]
            entries = [e for f in filters for e in self._client.search_for_series(search_filters=f)]
            series = [Dataset.from_json(entry) for entry in entries]
            self._counts_before = self._counts
            self._counts = {str(one.SeriesInstanceUID): _count(one) for one in series}
            listed = sorted(self._counts)
            self._listed = (time.monotonic(), listed)
        return listed

    def newest_segs(self) -> dict[str, SegSeries]:
        """Image series -> the newest SEG that was drawn on it."""
        when, found = self._found
        if time.monotonic() - when > REFRESH:
            found = {}
            for entry in self._client.search_for_series(search_filters={"Modality": "SEG"}):
                try:
                    seg = self._seg(Dataset.from_json(entry))
                except Exception:  # one SEG that cannot be asked about must not hide the others
                    log.warning("a SEG cannot be read and is left out: %s", entry, exc_info=True)
                    continue
                if seg is None or self._withdrawn.has(seg.uid):
                    continue
                if seg.image not in found or seg.when > found[seg.image].when:
                    found[seg.image] = seg
            self._found = (time.monotonic(), found)
        return found

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Image series with a SEG, each once."""
        return [image for image in self.list_images() if image in self.newest_segs()]

    def get_unlabeled_images(
        self, label_tag: str | None = None, labels: list[str] | None = None
    ) -> list[str]:
        """Image series without a SEG."""
        return [image for image in self.list_images() if image not in self.newest_segs()]

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The label of a series: a SEG of the archive where it is final, else what is kept here."""
        if tag == FINAL:
            seg = self.newest_segs().get(image_id)
            return seg.uid if seg else ""
        return super().get_label_by_image_id(image_id, tag)

    def _forget_segs(self) -> None:
        self._found = (-REFRESH, {})

    def studies(self) -> list[Study]:
        """The series that are here already, with the newest SEG of each."""
        segs, found = self.newest_segs(), []
        for image in self.list_images():
            if not self._here(image):
                continue
            path, final = self._image_file(image), None
            if image in segs:
                try:
                    file = self._seg_file(segs[image])
                except Exception:  # the catalogue will name it as a label that cannot be read
                    log.warning("the SEG %s cannot be brought here", segs[image].uid, exc_info=True)
                    file = self._seg_folder(segs[image]) / "missing.dcm"
                final = FinalLabel(file, stamp(file))
            found.append(Study(image, path, stamp(path), final))
        return found

    def holds(self, image: str) -> bool:
        """Whether a series is listed and its image is here."""
        return image in self.list_images() and self._here(image)

    def fetch_next(self) -> bool:
        """Brings one more series here, labelled ones first; False where all are here."""
        segs, now = self.newest_segs(), time.monotonic()
        due = [image for image in self.list_images() if now - self._broken.get(image, -AGAIN) >= AGAIN]
        missing = [image for image in due if not self._here(image) and self._steady(image)]
        missing = [image for image in missing if not self._images.refusal(image, self._counts.get(image))]
        if not missing:
            return False
        image = min(missing, key=lambda image: image not in segs)
        try:
            self.fetch(image)
        except Exception as error:  # whatever is wrong with one series must not keep the others away
            if error is self._images.refusal(image, self._counts.get(image)):
                log.warning("the series %s makes no image: %s", image, error)
            else:
                log.warning("the series %s cannot be brought here", image, exc_info=True)
                self._broken[image] = time.monotonic()
        return True

    def fetch(self, image: str) -> None:
        """Brings a series here, whole or not at all; one that is still being uploaded stays away.

        Raises:
            InputError: the series makes no image.
        """
        if self._here(image):  # nobody waits for another series
            return
        if refusal := self._images.refusal(image, self._counts.get(image)):
            raise refusal
        with self._fetching:
            if image not in self.list_images() or self._here(image) or not self._steady(image):
                return
            count = self._counts.get(image)
            folder, file = Path(self._datastore_path) / image, self._image_file(image)
            part = folder.with_name(f".{image}.part")
            for leftover in (folder, part):
                shutil.rmtree(leftover, ignore_errors=True)
            file.unlink(missing_ok=True)
            dicom_web_download_series(None, image, str(part), self._client, self._fetch_by_frame)
            part.replace(folder)
            self._convert(image, folder)
            self._whole = {**self._whole, image: count}
            write_json(self._whole, self._ledger)

    def _convert(self, image: str, folder: Path) -> None:
        """Makes the image's file from its series. InputError: the series makes no image."""
        with self._images.made(image, self._counts.get(image), folder) as file:
            super().add_image(image, str(file), self._dicom_info(image))

    def get_image_uri(self, image_id: str) -> str:
        """The image's file; "" for a series that the archive does not list."""
        self.fetch(image_id)
        return str(self._image_file(image_id)) if self._here(image_id) else ""

    def _here(self, image: str) -> bool:
        """Whether a series is here, with as many images as the archive has of it."""
        if image not in self._whole:
            return False
        return image not in self._counts or self._whole[image] == self._counts[image]

    def _steady(self, image: str) -> bool:
        """Whether the archive has had as many images of a series at the last two looks."""
        return image in self._counts_before and self._counts_before[image] == self._counts.get(image)

    def _image_file(self, image: str) -> Path:
        return Path(self._datastore_path) / f"{image}.nii.gz"

    def _seg_file(self, seg: SegSeries) -> Path:
        """The file of a SEG, brought here where it is missing."""
        folder = self._seg_folder(seg)
        if folder.is_dir():
            return next(folder.glob("*.dcm"))
        with self._fetching_seg:
            if not folder.is_dir():
                part = folder.with_name(f".{seg.uid}.part")
                shutil.rmtree(part, ignore_errors=True)
                dicom_web_download_series(seg.study, seg.uid, str(part), self._client, self._fetch_by_frame)
                if not any(part.glob("*.dcm")):
                    raise InputError("the archive gave no file of this SEG", where=seg.uid)
                part.replace(folder)
        return next(folder.glob("*.dcm"))

    def _seg_folder(self, seg: SegSeries) -> Path:
        return Path(self._datastore_path) / "segs" / seg.uid

    def _seg(self, entry: Dataset) -> SegSeries | None:
        uid, study = str(entry.SeriesInstanceUID), str(entry.StudyInstanceUID)
        if uid not in self._segs:
            meta = Dataset.from_json(self._client.retrieve_series_metadata(study, uid)[0])
            drawn_on = meta.get("ReferencedSeriesSequence")
            image = str(drawn_on[0].SeriesInstanceUID) if drawn_on else ""
            when = " ".join(
                str(meta.get(date) or "") + str(meta.get(hour) or "")
                for date, hour in (("ContentDate", "ContentTime"), ("SeriesDate", "SeriesTime"))
            )
            if not image:
                log.warning("the SEG %s does not say which series it was drawn on: left out", uid)
            self._segs[uid] = SegSeries(uid, study, image, when) if image else None
        return self._segs[uid]


def _count(series: Dataset) -> int | None:
    told = series.get("NumberOfSeriesRelatedInstances")
    return None if told in (None, "") else int(told)
