"""The app on a real DICOM archive: CT and MR listed, SEGs read and written with the right names."""

from __future__ import annotations

import socket
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from apps.iris_app.cli.archive import Archive
from apps.iris_app.cli.dicom_series import series_files
from iris_core.metrics import dice
from iris_core.volume.label_grid import fit_label
from iris_core.volume.volume import Volume
from iris_core.volume_io import read_label
from iris_core.volume_io.dicom_label.seg import read_seg
from tests import tiny
from tests.hosts.app_server import AppServer, require_programs

pytestmark = [pytest.mark.hosts, pytest.mark.dicomweb]

OBLIQUE = np.array([[1.96, 0.4, 0, -20], [-0.4, 1.96, 0, 10], [0, 0, 2, 30], [0, 0, 0, 1.0]])


def scene(seed: int, modality: str) -> tuple[Volume, np.ndarray]:
    """An image on an oblique grid, and its exact label: bright = 1, dark = 4."""
    image, label = tiny.study(seed, shift=seed % 3, shape=(28, 26, 22))
    array = image.array if modality == "MR" else np.where(label.array == 0, -300, (image.array - 100) * 3)
    return Volume(np.rint(array).astype(np.float32), OBLIQUE), label.array


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    require_programs("Orthanc")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    archive = Archive(tmp_path_factory.mktemp("archive"), port)
    archive.series = {}
    for number, modality in enumerate(("CT", "CT", "CT", "MR", "MR")):
        import pydicom

        image, label = scene(number, modality)
        for file in series_files(image, modality, f"patient{number}", f"study {number}"):
            archive.add(file)
        header = pydicom.dcmread(BytesIO(file), stop_before_pixels=True)
        key = f"{modality}{number}"
        archive.series[key] = (str(header.StudyInstanceUID), str(header.SeriesInstanceUID), label)
    yield archive
    archive.stop()


@pytest.fixture(scope="module")
def server(archive, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("server")
    server = AppServer(
        archive.dicomweb, scratch,
        MONAI_LABEL_DICOMWEB_CACHE_PATH=str(scratch / "cache"), IRIS_STATE=str(scratch / "state"),
    )  # fmt: skip
    yield server
    server.stop()


def uid(archive, key: str) -> str:
    return archive.series[key][1]


def truth(archive, key: str, like) -> np.ndarray:
    """The exact label in the voxel order of a file that the server gave."""
    label = archive.series[key][2]
    move = np.linalg.inv(OBLIQUE) @ like.affine
    grid = np.stack(np.meshgrid(*map(np.arange, like.shape), indexing="ij"), -1)
    at = np.rint(grid @ move[:3, :3].T + move[:3, 3]).astype(int)
    return label[at[..., 0], at[..., 1], at[..., 2]]


@pytest.fixture(scope="module")
def labelled(server, archive, tmp_path_factory):
    """After a viewer has submitted CT0: value 3 is spleen, 5 is "left kidney", and a liver that is empty."""
    server.until(lambda: len(server.get("/datastore/?output=all")["objects"]) >= 5)
    client = server.client()
    image = _download(server, uid(archive, "CT0"), tmp_path_factory.mktemp("image"))
    array = truth(archive, "CT0", image)
    drawn = np.where(array == 1, 3, np.where(array == 4, 5, 0)).astype(np.uint8)
    file = tmp_path_factory.mktemp("drawn") / "label.nii.gz"
    _write(drawn, image.affine, file)
    info = [
        {"name": "liver", "idx": 1}, {"name": "spleen", "idx": 3, "color": [10, 200, 30]},
        {"name": "left kidney", "idx": 5},
    ]  # fmt: skip
    client.save_label(uid(archive, "CT0"), str(file), params={"label_info": info})
    return server


def test_ct_and_mr_series_are_listed(labelled, archive):
    objects = labelled.get("/datastore/?output=all")["objects"]
    assert {series for _, series, _ in archive.series.values()} <= set(objects)
    assert labelled.get("/info/")["datastore"]["total"] == 5


def test_segments_of_a_submitted_label_carry_their_own_names_and_codes(labelled, archive, tmp_path):
    seg = tmp_path / "seg.dcm"
    seg.write_bytes(_segs(archive)[-1])
    import pydicom

    segments = pydicom.dcmread(seg).SegmentSequence
    codes = {s.SegmentLabel: s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in segments}
    assert codes == {"spleen": "78961009", "left kidney": "64033007"}
    kidney = next(s for s in segments if s.SegmentLabel == "left kidney")
    side = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert side.CodeMeaning == "Left"
    label = read_seg(seg)
    assert set(label.names.values()) == {"spleen", "left kidney"}
    spleen = next(value for value, name in label.names.items() if name == "spleen")
    assert np.abs(np.array(label.color_of(spleen)) - [10, 200, 30]).max() <= 3


def test_a_seg_of_the_archive_is_a_reference_on_the_exact_grid(labelled, archive, tmp_path):
    labelled.until(lambda: labelled.get("/info/")["labels"][:3] == ["spleen", "left kidney"][:3])
    response = labelled.post_infer(uid(archive, "CT1"), "image", result_extension=".nrrd")
    assert response.status_code == 200, response.text
    file = tmp_path / "result.nrrd"
    file.write_bytes(response.content)
    label = read_label(file)
    expected = truth(archive, "CT1", label)
    assert dice(expected == 1, label.array == 1) > 0.7
    assert dice(expected == 4, label.array == 2) > 0.7


def test_a_result_saved_as_final_becomes_a_seg_and_a_reference(labelled, archive):
    before = len(_segs(archive))
    response = labelled.post_infer(uid(archive, "CT2"), save_as="final")
    assert response.status_code == 200 and not any("not saved" in w for w in response.json()["warnings"])
    assert len(_segs(archive)) == before + 1
    used = labelled.until(lambda: _used(labelled, uid(archive, "CT1"), 2))
    assert used == {uid(archive, "CT0"), uid(archive, "CT2")}

    again = labelled.post_infer(uid(archive, "CT2"), save_as="final")
    assert any("never overwritten" in w for w in again.json()["warnings"])
    assert len(_segs(archive)) == before + 1


def test_of_several_segs_the_newest_counts_and_a_series_is_listed_once(labelled, archive, tmp_path):
    image = _download(labelled, uid(archive, "CT0"), tmp_path)
    array = truth(archive, "CT0", image)
    file = tmp_path / "label.nii.gz"
    _write((array == 1).astype(np.uint8), image.affine, file)
    info = [{"name": "spleen", "idx": 1}]
    labelled.client().save_label(uid(archive, "CT0"), str(file), params={"label_info": info})

    kidney = labelled.until(
        lambda: _users(labelled, uid(archive, "CT1"), "left kidney", {uid(archive, "CT2")})
    )
    assert kidney
    assert labelled.get("/info/")["datastore"]["completed"] == 2


def test_a_seg_of_painted_slices_alone_is_read_onto_the_image(labelled, archive, tmp_path):
    """What OHIF uploads: frames of the painted slices only; here made from the server's own SEG."""
    import pydicom

    dataset = pydicom.dcmread(BytesIO(_segs(archive)[0]))
    label = read_seg(_saved(dataset, tmp_path))
    kept = [
        n for n, group in enumerate(dataset.PerFrameFunctionalGroupsSequence)
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    ][2:5]  # fmt: skip
    frames = dataset.pixel_array[kept]
    dataset.PerFrameFunctionalGroupsSequence = [dataset.PerFrameFunctionalGroupsSequence[n] for n in kept]
    dataset.NumberOfFrames = len(kept)
    bits = np.packbits(frames.ravel() > 0, bitorder="little").tobytes()
    dataset.PixelData = bits + b"\0" * (len(bits) % 2)
    part = read_seg(_saved(dataset, tmp_path))
    assert part.shape[2] == 3 and part.partial
    assert np.count_nonzero(part.array) == np.count_nonzero(frames)
    assert label.shape[:2] == part.shape[:2]

    image = _download(labelled, uid(archive, "CT0"), tmp_path)
    onto = fit_label(part, image)
    value = next(iter(part.values))
    assert onto.shape == image.shape
    assert np.count_nonzero(onto.array) == np.count_nonzero(frames)
    assert np.all((truth(archive, "CT0", image) == 1)[onto.array == value])


def test_an_mr_study_gets_nothing_from_ct_references_unless_somebody_asks_for_it(labelled, archive):
    said = "references are ct, this study looks like mr"
    refused = labelled.post_infer(uid(archive, "MR3"))
    assert refused.status_code == 422 and said in refused.json()["detail"], refused.text
    shown = labelled.post_infer(uid(archive, "MR3"), withhold_below=0)
    assert shown.status_code == 200, shown.text
    assert any(said in warning for warning in shown.json()["warnings"])


def _segs(archive) -> list[bytes]:
    """The SEG files of the archive, oldest first."""
    import urllib.request

    found = []
    for series in archive.get("/series"):
        told = archive.get(f"/series/{series}")
        if told["MainDicomTags"]["Modality"] == "SEG":
            url = f"{archive.url}/instances/{told['Instances'][0]}/file"
            found.append((told["LastUpdate"], urllib.request.urlopen(url).read()))
    return [data for _, data in sorted(found, key=lambda entry: entry[0])]


def _saved(dataset, folder: Path) -> Path:
    path = folder / "some.dcm"
    dataset.save_as(path)
    return path


def _download(server, series: str, folder: Path):
    import requests

    path = folder / "image.nii.gz"
    path.write_bytes(requests.get(f"{server.url}/datastore/image", params={"image": series}).content)
    from iris_core.volume_io import read_image

    return read_image(path)


def _write(array: np.ndarray, affine: np.ndarray, path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(array, affine), path)


def _used(server, study: str, count: int) -> set[str]:
    used = {r for names in server.post_infer(study).json()["references_used"].values() for r in names}
    return used if len(used) == count else set()


def _users(server, study: str, name: str, wanted: set[str]) -> bool:
    return set(server.post_infer(study).json()["references_used"].get(name, ())) == wanted
