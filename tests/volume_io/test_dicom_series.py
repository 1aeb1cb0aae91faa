"""Laws of a plain DICOM series: place and values come from each slice's own header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.volume_io import list_cases, read_image
from tests.dicom_files import (
    AXIAL,
    CT,
    NUCLEAR,
    OBLIQUE,
    PET,
    compress,
    numbers,
    plane,
    remove,
    rewrite,
    without_preamble,
    write_series,
)  # fmt: skip
from tests.stub_engine import StubEngine, label_array, write_study

pytestmark = pytest.mark.dicom


def in_itk(folder: Path):
    """Array (I, J, K) and voxel -> LPS mm as ITK reads a series."""
    import SimpleITK as sitk

    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize(
    "affine", [AXIAL, OBLIQUE, AXIAL @ np.diag([1, 1, -1, 1])], ids=["axial", "oblique", "down"]
)
def test_a_series_is_read_as_itk_reads_it(tmp_path, affine):
    write_series(
        tmp_path / "ct", numbers(), affine, change=lambda d, k: setattr(d, "RescaleIntercept", -1024)
    )
    volume, (array, place) = read_image(tmp_path / "ct"), in_itk(tmp_path / "ct")
    assert np.array_equal(volume.array, array)
    assert np.allclose(volume.affine, place, atol=1e-4)


def test_positions_rounded_by_the_scanner_are_even_enough(tmp_path):
    def rounded(dataset, k):
        noise = np.random.default_rng(k).uniform(-0.005, 0.005, 3)
        dataset.ImagePositionPatient = [
            float(f"{p:.4f}") for p in np.array(dataset.ImagePositionPatient) + noise
        ]

    affine = AXIAL @ np.diag([1, 1, 0.25, 1])  # 0.625 mm
    write_series(tmp_path / "ct", numbers(), affine, change=rounded)
    volume = read_image(tmp_path / "ct")
    assert np.array_equal(volume.array, numbers())
    assert np.allclose(volume.affine, affine, atol=0.01)


def test_each_slice_of_pet_has_its_own_slope(tmp_path):
    slopes = np.geomspace(1e-6, 3e-4, 10)

    def change(dataset, k):
        dataset.RescaleSlope = f"{slopes[k]:.9g}"
        dataset.RescaleIntercept = 0

    write_series(tmp_path / "pet", np.abs(numbers()), AXIAL, sop_class=PET, change=change)
    assert np.allclose(read_image(tmp_path / "pet").array, np.abs(numbers()) * slopes, rtol=1e-5)


def test_a_series_without_a_rescaling_keeps_its_stored_values(tmp_path):
    write_series(tmp_path / "ct", numbers(), AXIAL, change=remove("RescaleSlope", "RescaleIntercept"))
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())


def trigger_and_time(dataset, k):
    dataset.TriggerTime, dataset.AcquisitionTime, dataset.AcquisitionNumber = 40.0 * k, f"10{k:02d}00", k
    dataset.EchoTime, dataset.InversionTime = 2.3 + 0.001 * (k % 2), 900


def own_reference(dataset, k):
    dataset.FrameOfReferenceUID = f"1.2.3.4.{k}"


@pytest.mark.parametrize("change", [trigger_and_time, own_reference])
def test_what_changes_from_slice_to_slice_of_one_volume_keeps_it_one(tmp_path, change):
    write_series(tmp_path / "mr", numbers(), AXIAL, change=change)
    assert np.array_equal(read_image(tmp_path / "mr").array, numbers())


@pytest.mark.parametrize("signed", [True, False])
def test_monochrome1_is_a_matter_of_display(tmp_path, signed):
    def change(dataset, _):
        dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME1", int(signed)

    voxels = numbers() if signed else np.abs(numbers())
    write_series(tmp_path / "ct", voxels, AXIAL, change=change)
    assert np.array_equal(read_image(tmp_path / "ct").array, voxels)


@pytest.mark.parametrize("signed", [True, False])
def test_bits_that_are_no_value_are_cut_off(tmp_path, signed):
    voxels = numbers() if signed else np.abs(numbers())

    def change(dataset, k):
        dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 12, 11, int(signed)
        overlay = np.uint16(0x4000)  # a drawing that old scanners keep in a spare bit
        pixels = (voxels[:, :, k].T.astype(np.uint16) & np.uint16(0x0FFF)) | overlay
        dataset.PixelData = np.ascontiguousarray(pixels.astype("<u2")).tobytes()

    write_series(tmp_path / "ct", voxels, AXIAL, change=change)
    assert np.array_equal(read_image(tmp_path / "ct").array, voxels)


@pytest.mark.parametrize("kind", ["RLE", "JPEG2000", "JPEG", "JPEG-LS"])
@pytest.mark.parametrize("signed", [True, False])
def test_compressed_slices_give_their_values(tmp_path, kind, signed):
    import pydicom

    values = numbers((32, 24, 4)) if signed else np.abs(numbers((32, 24, 4)))

    def change(dataset, _):
        dataset.RescaleIntercept, dataset.PhotometricInterpretation = -100, "MONOCHROME1"

    files = write_series(tmp_path / "ct", values, AXIAL, change=change)
    for k, file in enumerate(files):
        compress(file, values[:, :, k], kind, signed)
    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(read_image(tmp_path / "ct").array, values - 100)


def test_files_without_the_preamble_are_read(tmp_path):
    for file in write_series(tmp_path / "ct", numbers(), OBLIQUE):
        without_preamble(file)
        assert file.read_bytes()[128:132] != b"DICM"
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())
    assert [case.path.name for case in list_cases(tmp_path)] == ["ct"]


@pytest.mark.parametrize(
    ("syntax", "bare"),
    [("implicit", False), ("implicit", True), ("big endian", False), ("deflated", False)],
)
def test_every_plain_transfer_syntax_is_read(tmp_path, syntax, bare):
    for file in write_series(tmp_path / "ct", numbers(), OBLIQUE):
        rewrite(file, syntax)
        if bare:
            without_preamble(file)
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())


def test_files_without_a_suffix_are_read(tmp_path):
    for number, file in enumerate(write_series(tmp_path / "ct", numbers(), OBLIQUE)):
        file.rename(file.with_name(f"IM{number:04d}"))
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())


def test_a_file_that_is_there_twice_counts_once(tmp_path, caplog):
    file = write_series(tmp_path / "ct", numbers(), AXIAL)[4]
    (tmp_path / "ct" / "copy of a slice.dcm").write_bytes(file.read_bytes())
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())
    assert "more than once" in caplog.text


def test_slices_that_share_one_uid_are_no_copies(tmp_path):
    def change(dataset, _):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"

    write_series(tmp_path / "ct", numbers(), AXIAL, change=change)
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())


def test_a_file_without_a_suffix_that_is_no_dicom_is_named_and_left_out(tmp_path, caplog):
    write_series(tmp_path / "ct", numbers(), AXIAL)
    (tmp_path / "ct" / "README").write_text("about this series")
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())
    assert "left out: README" in caplog.text


def test_slices_without_a_position_are_placed_by_their_location_and_said_so(tmp_path, caplog):
    def change(dataset, k):
        del dataset.ImagePositionPatient
        dataset.SliceLocation, dataset.SpacingBetweenSlices = 100 + 2.5 * k, 2.5

    write_series(tmp_path / "ct", numbers(), OBLIQUE, change=change)
    volume = read_image(tmp_path / "ct")
    assert np.array_equal(volume.array, numbers())
    assert volume.spacing == pytest.approx((0.75, 1.25, 2.5))
    assert "no position" in caplog.text and "SliceLocation" in caplog.text


def test_nuclear_medicine_in_one_file_is_placed_by_its_detector(tmp_path):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    voxels = np.abs(numbers())

    def change(dataset, _):
        detector = Dataset()
        detector.ImagePositionPatient, detector.ImageOrientationPatient = plane(AXIAL, 0)[0]
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient
        dataset.DetectorInformationSequence = Sequence([detector])
        dataset.NumberOfFrames, dataset.SpacingBetweenSlices = 10, 2.5
        dataset.SliceVector = list(range(1, 11))
        dataset.PixelData = b"".join(
            np.ascontiguousarray(voxels[:, :, k].T.astype("<i2")).tobytes() for k in range(10)
        )

    file = write_series(tmp_path / "nm", voxels[:, :, :1], AXIAL, sop_class=NUCLEAR, change=change)[0]
    volume = read_image(file)
    assert np.array_equal(volume.array, voxels) and np.allclose(volume.affine, AXIAL, atol=1e-4)


def test_iris_segment_reads_a_series_and_a_single_file_as_the_reader_does(tmp_path, monkeypatch, capsys):
    import nibabel as nib

    monkeypatch.setattr(engine, "Engine", StubEngine)
    image, label = write_study(tmp_path, "reference")
    voxels = np.rint(nib.load(image).get_fdata()).astype(np.int16)
    write_series(tmp_path / "ct", voxels, AXIAL, sop_class=CT)
    words = ["segment", "--reference", str(image), str(label), "--query", str(tmp_path / "ct")]
    assert main([*words, "--output", str(tmp_path / "result.nii.gz")]) == 0
    result = nib.load(tmp_path / "result.nii.gz")
    assert np.array_equal(result.dataobj, label_array()) and np.allclose(result.affine, AXIAL, atol=1e-4)
    write_series(tmp_path / "ct", voxels, AXIAL, series="1.2.3.2", name="again")
    assert main([*words, "--output", str(tmp_path / "other.nii.gz")]) == 2
    assert "several DICOM series" in capsys.readouterr().err
    assert not (tmp_path / "other.nii.gz").exists()
