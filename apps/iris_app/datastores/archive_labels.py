"""ArchiveLabels: final labels of a DICOMweb archive, which are SEGs that it keeps for good.

A SEG that was replaced or deleted through the server stays in the archive and counts no more.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any

from monailabel.datastore.dicom import DICOMWebDatastore
from pydicom import dcmread

from apps.iris_app.datastores.archive_faults import archive_may_fail
from apps.iris_app.datastores.datastore_view import FINAL
from apps.iris_app.datastores.seg_series import SegSeries
from apps.iris_app.datastores.segment_description import described_segments
from apps.iris_app.datastores.whole_folder import CurrentLabel, WholeFolder
from apps.iris_app.datastores.withdrawn_segs import WithdrawnSegs
from apps.iris_app.lib.state import State


class ArchiveLabels(DICOMWebDatastore, WholeFolder):
    """The host's DICOMweb datastore, as far as labels are concerned.

    Args:
        state: keeps which SEGs count no more.
        kwargs: what the host's class takes.
    """

    def __init__(self, state: State, **kwargs: Any) -> None:
        self._withdrawn = WithdrawnSegs(state)
        self._segs: dict[str, SegSeries | None] = {}  # None: drawn on nothing that is listed
        super().__init__(**kwargs)

    @abstractmethod
    def newest_segs(self) -> dict[str, SegSeries]:
        """Image series -> the newest SEG that was drawn on it and counts."""

    @abstractmethod
    def _forget_segs(self) -> None:
        """Makes the next question about SEGs a new one to the archive."""

    @abstractmethod
    def _seg_file(self, seg: SegSeries) -> Path:
        """The file of a SEG, brought here where it is missing."""

    def has_final_now(self, study: str) -> bool:
        """Whether a series has a SEG that counts, asked of the archive at once."""
        self._forget_segs()
        return study in self.newest_segs()

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: dict, label_id: str = ""
    ) -> str:
        """Saves a label; a final one goes to the archive as a SEG whose segments carry their own names.

        The SEGs of the series that were there before count no more, whatever their dates say.

        Raises:
            PassingError: the archive does not take it.
        """
        if label_tag != FINAL:
            return super().save_label(  # type: ignore[call-arg] # the host's class takes an id
                image_id, label_filename, label_tag, label_info, label_id
            )
        super()._about_to_change(image_id, label_tag)
        before = self._uids_of(image_id)
        label_info = {**label_info, "label_info": described_segments(label_filename, label_info)}
        with archive_may_fail():
            saved = super().save_label(  # type: ignore[call-arg] # the same
                image_id, label_filename, label_tag, label_info, label_id
            )
        self._withdrawn.add(before)
        self._forget_segs()
        return saved

    def save_seg(self, image: str, file: Path) -> str:
        """Makes a SEG file that was kept the label of a series again; gives the label's id.

        Raises:
            PassingError: the archive does not take it.
        """
        dataset = dcmread(file)
        uid, before = str(dataset.SeriesInstanceUID), self._uids_of(image)
        with archive_may_fail():
            if not self._client.search_for_series(search_filters={"SeriesInstanceUID": uid}):
                self._client.store_instances([dataset])
        self._withdrawn.add(before - {uid})
        self._withdrawn.remove(uid)
        self._forget_segs()
        return image

    def current_label(self, study: str, tag: str) -> CurrentLabel | None:
        """The newest SEG that counts, brought here, or what is kept here under another tag."""
        if tag != FINAL:
            return super().current_label(study, tag)
        with archive_may_fail():
            if not self.has_final_now(study):
                return None
            seg = self.newest_segs()[study]
            file = self._seg_file(seg)
        info = self.get_label_info(study, FINAL) or {}
        own = info.get("SeriesInstanceUID") == seg.uid  # else it was drawn elsewhere, in OHIF say
        return CurrentLabel(file, f"seg {seg.uid}", dict(info) if own else {})

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Removes a label. An archive's own SEGs stay in it and count no more."""
        super()._about_to_change(label_id, label_tag)
        if label_tag == FINAL:
            self._withdrawn.add(self._uids_of(label_id))
            self._forget_segs()
        super().remove_label(label_id, label_tag)

    def _about_to_change(self, study: str, tag: str) -> None:
        """Asks nobody about a final label's copy here: that was done before the archive was asked."""
        if tag != FINAL:
            super()._about_to_change(study, tag)

    def _uids_of(self, image: str) -> set[str]:
        """UIDs of all SEGs of a series that the archive has now."""
        self._forget_segs()
        self.newest_segs()
        return {seg.uid for seg in self._segs.values() if seg is not None and seg.image == image}
