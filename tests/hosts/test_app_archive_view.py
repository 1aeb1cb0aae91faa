"""What our DICOM datastore makes of an archive that grows, is slow or holds a bad SEG; no archive runs."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from apps.iris_app.lib.state import State
from iris_core.errors import InputError
from iris_core.volume_io import read_image
from tests.dicom_files import PET, numbers, rescaled, write_enhanced, write_series

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

IMAGE, SEG, BAD = "1.1", "1.2", "1.3"


class Client:
    """Answers as an archive does: one CT series, and SEGs that were drawn on it."""

    base_url = "http://archive"

    def __init__(self) -> None:
        self.images: dict[str, int] = {IMAGE: 3}
        self.segs: list[str] = []

    def search_for_series(self, search_filters: dict) -> list[dict]:
        if search_filters.get("Modality") == "SEG":
            return [self._series(uid, 1) for uid in self.segs]
        return [self._series(uid, count) for uid, count in self.images.items()]

    def retrieve_series_metadata(self, study: str, uid: str) -> list[dict]:
        if uid == BAD:
            raise OSError("500 Internal Server Error")
        drawn_on = {"0020000E": {"vr": "UI", "Value": [IMAGE]}}
        return [self._series(uid, 1) | {"00081115": {"vr": "SQ", "Value": [drawn_on]}}]

    @staticmethod
    def _series(uid: str, count: int) -> dict:
        return {
            "0020000D": {"vr": "UI", "Value": ["1"]},
            "0020000E": {"vr": "UI", "Value": [uid]},
            "00201209": {"vr": "IS", "Value": [count]},
        }


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def brought():
    """The series that were downloaded, in turn."""
    return []


@pytest.fixture
def datastore(tmp_path, monkeypatch, client, brought):
    from apps.iris_app.datastores import dicom_datastore

    def download(study, uid, folder, *rest):
        brought.append(uid)
        Path(folder).mkdir(parents=True)
        (Path(folder) / "0.dcm").write_bytes(b"x")

    def convert(self, image, folder):
        self._image_file(image).write_bytes(b"image")

    monkeypatch.setattr(dicom_datastore, "REFRESH", -1.0)  # every question is a new look
    monkeypatch.setattr(dicom_datastore, "dicom_web_download_series", download)
    monkeypatch.setattr(dicom_datastore.NamedDicomDatastore, "_convert", convert)
    store = dicom_datastore.NamedDicomDatastore(
        State(tmp_path / "state"), client=client, search_filter={"Modality": "CT"}, cache_path=str(tmp_path)
    )
    yield store
    store._observer.stop()


def until_steady(datastore) -> None:
    datastore.list_images()
    datastore.list_images()


def test_a_series_that_still_grows_is_not_taken_for_whole(datastore, client, brought):
    for count in (3, 4, 5):
        client.images[IMAGE] = count
        datastore.fetch(IMAGE)
    assert brought == [] and datastore.studies() == []
    until_steady(datastore)
    datastore.fetch(IMAGE)
    assert brought == [IMAGE] and [study.id for study in datastore.studies()] == [IMAGE]


def test_a_series_that_grew_after_it_was_brought_is_brought_again(datastore, client, brought):
    until_steady(datastore)
    datastore.fetch(IMAGE)
    client.images[IMAGE] = 9
    until_steady(datastore)
    assert datastore.studies() == []
    assert datastore.fetch_next() and not datastore.fetch_next()
    assert brought == [IMAGE] * 2 and len(datastore.studies()) == 1


def test_a_series_that_could_not_be_brought_is_tried_again_after_a_while(datastore, monkeypatch):
    from apps.iris_app.datastores import dicom_datastore

    fetch = datastore.fetch
    monkeypatch.setattr(datastore, "fetch", lambda image: 1 / 0)
    until_steady(datastore)
    assert datastore.fetch_next() and not datastore.fetch_next()
    monkeypatch.setattr(datastore, "fetch", fetch)
    assert not datastore.fetch_next()
    monkeypatch.setattr(dicom_datastore, "AGAIN", 0.0)
    assert datastore.fetch_next() and len(datastore.studies()) == 1


def test_one_bad_seg_is_left_out_and_the_others_stay(datastore, client):
    client.segs = [BAD, SEG]
    until_steady(datastore)
    datastore.fetch(IMAGE)
    (study,) = datastore.studies()
    assert datastore.newest_segs()[IMAGE].uid == SEG and study.final is not None


def test_a_seg_that_cannot_be_brought_is_a_label_with_a_problem_until_it_can(datastore, client, monkeypatch):
    from apps.iris_app.datastores import dicom_datastore

    download = dicom_datastore.dicom_web_download_series
    until_steady(datastore)
    datastore.fetch(IMAGE)
    client.segs = [SEG]
    monkeypatch.setattr(dicom_datastore, "dicom_web_download_series", lambda *a: 1 / 0)
    (study,) = datastore.studies()
    assert study.final is not None and not study.final.path.exists()
    monkeypatch.setattr(dicom_datastore, "dicom_web_download_series", download)
    (study,) = datastore.studies()
    assert study.final.path.is_file()


def test_nobody_waits_for_the_download_of_another_series(datastore, client):
    client.segs = [SEG]
    until_steady(datastore)
    datastore.fetch(IMAGE)
    found = []
    with datastore._fetching:  # a download is under way
        ask = threading.Thread(
            target=lambda: found.extend([datastore.get_image_uri(IMAGE), datastore.studies()]), daemon=True
        )
        ask.start()
        ask.join(5.0)
        assert len(found) == 2


@pytest.fixture
def archive(tmp_path, monkeypatch, client):
    """A datastore that downloads what `archive.write` puts into a folder; `archive.brought` counts."""
    from apps.iris_app.datastores import dicom_datastore

    class Archive(dicom_datastore.NamedDicomDatastore):
        brought = 0

        def write(self, folder: Path) -> None:
            raise NotImplementedError

        def _dicom_info(self, series_id):
            return {"SeriesInstanceUID": series_id}

    def download(study, uid, folder, *rest):
        store.brought += 1
        store.write(Path(folder))

    monkeypatch.setattr(dicom_datastore, "REFRESH", -1.0)
    monkeypatch.setattr(dicom_datastore, "dicom_web_download_series", download)
    store = Archive(
        State(tmp_path / "state"),
        client=client,
        search_filter={"Modality": "CT"},
        cache_path=str(tmp_path / "cache"),
    )
    until_steady(store)
    yield store
    store._observer.stop()


@pytest.mark.parametrize("kind", ["pet", "enhanced"])
def test_a_series_of_an_archive_is_read_as_the_command_line_reads_it(archive, tmp_path, kind):
    place, voxels = np.diag([-2.0, -2.0, 3.0, 1.0]), np.abs(numbers())

    def slope_of_its_own(dataset, k):
        dataset.RescaleSlope = 1e-4 * (k + 1)

    def write(folder: Path) -> None:
        if kind == "pet":
            write_series(folder, voxels, place, sop_class=PET, change=slope_of_its_own)
        else:
            folder.mkdir(parents=True)
            order = (3, 0, 9, 1, 7, 5, 2, 8, 6, 4)
            write_enhanced(
                folder / "0.dcm", voxels, place, order=order, shared=lambda g, _: rescaled(g, 0.5, 10)
            )

    archive.write = write
    archive.fetch(IMAGE)
    write(tmp_path / "by hand")
    (study,) = archive.studies()
    seen, expected = read_image(study.image), read_image(tmp_path / "by hand")
    assert np.array_equal(seen.array, expected.array)
    assert np.allclose(seen.affine, expected.affine, atol=1e-4)


def test_a_series_that_makes_no_image_is_refused_with_its_reason_until_it_changes(archive, client):
    place, voxels = np.diag([-2.0, -2.0, 3.0, 1.0]), numbers()

    def write(folder: Path) -> None:
        write_series(folder, voxels, place)
        if archive.brought == 1:
            (folder / "thin028.dcm").unlink(missing_ok=True)
            (folder / "thin005.dcm").unlink()

    archive.write = write
    assert archive.fetch_next() and not archive.fetch_next() and archive.studies() == []
    with pytest.raises(InputError, match="slices are missing"):
        archive.get_image_uri(IMAGE)
    assert archive.brought == 1
    client.images[IMAGE] = 10
    until_steady(archive)
    assert archive.fetch_next() and len(archive.studies()) == 1 and archive.brought == 2


def test_segs_that_were_replaced_or_deleted_count_no_more_and_every_version_is_kept(
    datastore, client, tmp_path, monkeypatch
):
    """The SEGs here have no dates, so only what was done through the server says which one counts."""
    from types import SimpleNamespace

    import nibabel as nib
    from monailabel.datastore.dicom import DICOMWebDatastore
    from monailabel.datastore.local import DataModel, ImageLabelModel

    from apps.iris_app.datastores import archive_labels
    from apps.iris_app.datastores.whole_folder import WholeFolder
    from apps.iris_app.history.seen import Sender
    from apps.iris_app.submissions.submissions import Submissions

    def upload(self, image_id, label_filename, label_tag, label_info, label_id=""):
        client.segs.insert(0, f"2.{len(client.segs)}")
        info = {**label_info, "SeriesInstanceUID": client.segs[0]}
        return WholeFolder.save_label(self, image_id, label_filename, label_tag, info)

    monkeypatch.setattr(DICOMWebDatastore, "save_label", upload)
    monkeypatch.setattr(archive_labels, "dcmread", lambda file: SimpleNamespace(SeriesInstanceUID=SEG))
    datastore._datastore.objects[IMAGE] = ImageLabelModel(image=DataModel())
    label = tmp_path / "drawn.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), label)
    submissions = Submissions(State(tmp_path / "state"), datastore, lambda study: False)
    client.segs = [SEG]  # drawn in OHIF

    receipt = submissions.submit(IMAGE, "final", label, {}, Sender.of("ben", "", ""))
    assert "somebody unknown" in receipt.warnings[0]
    assert datastore.newest_segs()[IMAGE].uid == "2.1" and client.segs == ["2.1", SEG]
    versions = submissions.history.versions(IMAGE)
    assert [(v.user, v.mark) for v in versions] == [("", f"seg {SEG}"), ("ben", "seg 2.1")]

    assert submissions.delete(IMAGE, "final").number == 2
    assert datastore.newest_segs() == {} and client.segs == ["2.1", SEG]
    submissions.restore(IMAGE, 1, tmp_path, Sender.of("anna", "", ""))
    assert datastore.newest_segs()[IMAGE].uid == SEG and client.segs == ["2.1", SEG]
    client.segs.append("3.1")  # drawn in OHIF again
    datastore._forget_segs()
    assert submissions.current(IMAGE, "final").mark in (f"seg {SEG}", "seg 3.1")
    assert len(submissions.history.versions(IMAGE)) == 2
