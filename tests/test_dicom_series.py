"""Laws of a plain DICOM series: place and values come from each slice's own header, or it is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import CAPTURE, CT, NUCLEAR, PET, numbers, plane, without_preamble, write_series
from scipy.spatial.transform import Rotation
from seg_files import contours, ct_series, save, segmentation
from stub_engine import StubEngine, label_array, write_study

from iris_core.cli import engine
from iris_core.cli.main import main
from iris_core.errors import InputError
from iris_core.volume_io import list_cases, read_image

pytestmark = pytest.mark.dicom

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag(
    [-0.75, -1.25, 2.5]
)
OBLIQUE[:3, 3] = [-101.25, 22.125, 3.5]
AXIAL = np.diag([-0.75, -1.25, 2.5, 1.0])
AXIAL[:3, 3] = [60, 50, -700]


def remove(*names: str):
    def change(dataset, _: int) -> None:
        for name in names:
            if name in dataset:
                delattr(dataset, name)

    return change


def both(*changes):
    def change(dataset, k: int) -> None:
        for one in changes:
            one(dataset, k)

    return change


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


@pytest.mark.parametrize("kind", ["JPEG2000", "JPEGLS", "JPEG"])
def test_compressed_slices_give_their_values(tmp_path, kind):
    import pydicom
    import SimpleITK as sitk

    values = np.abs(numbers((32, 24, 4)))
    files = write_series(
        tmp_path / "ct", values, AXIAL, change=lambda d, k: setattr(d, "RescaleIntercept", -100)
    )
    for k, file in enumerate(files):
        image = sitk.GetImageFromArray(np.ascontiguousarray(values[:, :, k].T).astype(np.uint16))
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(tmp_path / "one.dcm"))
        writer.UseCompressionOn()
        writer.SetCompressor(kind)
        writer.Execute(image)
        plain, packed = pydicom.dcmread(file), pydicom.dcmread(tmp_path / "one.dcm")
        packed_pixels = packed["PixelData"]
        plain.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        plain.PixelRepresentation, plain.PhotometricInterpretation = 0, "MONOCHROME1"
        plain.BitsStored, plain.HighBit = packed.BitsStored, packed.HighBit
        plain["PixelData"] = packed_pixels
        save(plain, file)
    assert pydicom.dcmread(files[0]).file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(read_image(tmp_path / "ct").array, values - 100)


def test_files_without_the_preamble_are_read(tmp_path):
    for file in write_series(tmp_path / "ct", numbers(), OBLIQUE):
        without_preamble(file)
        assert file.read_bytes()[128:132] != b"DICM"
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())
    assert [case.path.name for case in list_cases(tmp_path)] == ["ct"]


def test_files_without_a_suffix_are_read(tmp_path):
    for number, file in enumerate(write_series(tmp_path / "ct", numbers(), OBLIQUE)):
        file.rename(file.with_name(f"IM{number:04d}"))
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())


def test_a_file_that_is_there_twice_counts_once(tmp_path, caplog):
    file = write_series(tmp_path / "ct", numbers(), AXIAL)[4]
    (tmp_path / "ct" / "copy of a slice.dcm").write_bytes(file.read_bytes())
    assert np.array_equal(read_image(tmp_path / "ct").array, numbers())
    assert "more than once" in caplog.text


def test_slices_without_a_position_are_placed_by_their_location_and_said_so(tmp_path, caplog):
    def change(dataset, k):
        del dataset.ImagePositionPatient
        dataset.SliceLocation, dataset.SpacingBetweenSlices = 100 + 2.5 * k, 2.5

    write_series(tmp_path / "ct", numbers(), OBLIQUE, change=change)
    volume = read_image(tmp_path / "ct")
    assert np.array_equal(volume.array, numbers())
    assert volume.spacing == pytest.approx((0.75, 1.25, 2.5))
    assert "no position" in caplog.text and "SliceLocation" in caplog.text


def location_without_spacing(dataset, k):
    dataset.SliceLocation = 2.5 * k


def spacing_without_location(dataset, k):
    dataset.SpacingBetweenSlices = 2.5


def location_against_spacing(dataset, k):
    dataset.SliceLocation, dataset.SpacingBetweenSlices = 2.5 * k, 5.0


def some_without_position(dataset, k):
    if k % 2:
        del dataset.ImagePositionPatient


def localizer_inside(dataset, k):
    if k == 0:
        dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]


def other_pixels(dataset, k):
    if k > 6:
        dataset.PixelSpacing = [0.5, 0.5]


def other_size(dataset, k):
    if k == 3:
        dataset.Rows, dataset.Columns = dataset.Columns, dataset.Rows


def same_place_twice(dataset, k):
    if k == 4:
        dataset.ImagePositionPatient = plane(AXIAL, 5)[0][0]


def all_at_one_place(dataset, k):
    dataset.ImagePositionPatient, dataset.TriggerTime = plane(AXIAL, 0)[0][0], 40.0 * k


def two_time_points(dataset, k):
    dataset.ImagePositionPatient, dataset.TemporalPositionIdentifier = plane(AXIAL, k // 2)[0][0], k % 2 + 1


def uneven(dataset, k):
    dataset.ImagePositionPatient = plane(AXIAL, k**1.1)[0][0]


def missing(dataset, k):
    dataset.ImagePositionPatient = plane(AXIAL, k if k < 6 else k + 2)[0][0]


def tilted(dataset, k):
    position = plane(AXIAL, k)[0][0]
    dataset.ImagePositionPatient = [position[0], position[1] + 0.5 * k, position[2]]


def colour(dataset, k):
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = bytes(dataset.Rows * dataset.Columns * 3)


def through_a_table(dataset, k):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [16, 0, 16], "US"
    table.LUTData = np.arange(16, dtype="<u2").tobytes()
    table["LUTData"].VR = "OW"
    dataset.ModalityLUTSequence = Sequence([table])


def broken_orientation(dataset, k):
    dataset.ImageOrientationPatient = [0, 0, 0, 0, 0, 0]


def slope_of_zero(dataset, k):
    dataset.RescaleSlope = 0


no_position = remove("ImagePositionPatient")
REFUSED = [
    (both(no_position, location_without_spacing), "without a position.*no SpacingBetweenSlices"),
    (both(no_position, spacing_without_location), "without a position.*no SliceLocation"),
    (both(no_position, location_against_spacing), "disagrees.*5 mm apart.*2.5 mm"),
    (no_position, "without a position.*no SliceLocation and no SpacingBetweenSlices"),
    (both(no_position, remove("ImageOrientationPatient"), location_without_spacing), "no ImageOrientation"),
    (remove("ImageOrientationPatient"), "has no ImageOrientationPatient"),
    (remove("PixelSpacing"), "has no PixelSpacing"),
    (some_without_position, "5 without"),
    (localizer_inside, "changes its orientation.*axial.*9 slices.*sagittal.*1 slices.*localizer"),
    (other_pixels, "changes its pixel spacing.*1.25 x 0.75 mm in 7.*0.5 x 0.5 mm in 3"),
    (other_size, "changes its size.*9 x 8 in 9.*8 x 9 in 1"),
    (same_place_twice, "several slices at one place"),
    (all_at_one_place, "all its slices at one place.*trigger time 0.0, 40.0"),
    (two_time_points, "several volumes.*2 slices at each of 5 places.*time point 1, 2"),
    (uneven, "unevenly spaced"),
    (missing, "slices are missing.*2 missing, the first between"),
    (tilted, "tilted gantry"),
    (colour, "colour picture.*RGB"),
    (through_a_table, "Modality LUT"),
    (broken_orientation, "no pair of axes"),
    (slope_of_zero, "slope of 0"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_makes_no_single_volume_is_refused_with_its_reason(tmp_path, change, said):
    write_series(tmp_path / "study", numbers(), AXIAL, change=change)
    with pytest.raises(InputError, match=said) as caught:
        read_image(tmp_path / "study")
    assert "study" in str(caught.value) and "\n" not in str(caught.value)


def test_several_series_are_named_with_a_file_of_each(tmp_path):
    write_series(tmp_path / "study", numbers(), AXIAL)
    write_series(tmp_path / "study", numbers((8, 9, 4)), AXIAL, series="1.2.3.2", name="thick")
    with pytest.raises(
        InputError, match=r"several DICOM series.*thick \(4 files.*thin \(10 files, the first thin000.dcm\)"
    ):
        read_image(tmp_path / "study")


def test_one_slice_by_itself_is_sent_to_its_folder(tmp_path):
    file = write_series(tmp_path / "study", numbers(), AXIAL)[0]
    with pytest.raises(InputError, match="2D image.*folder with all slices"):
        read_image(file)


def test_a_screen_capture_is_refused(tmp_path):
    gone = remove("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")
    write_series(tmp_path / "shots", numbers(), AXIAL, sop_class=CAPTURE, change=gone)
    with pytest.raises(InputError, match="has no PixelSpacing.*screen capture"):
        read_image(tmp_path / "shots")


def test_a_series_cut_short_is_refused_with_the_files_name(tmp_path):
    file = write_series(tmp_path / "study", numbers(), AXIAL)[3]
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=f"{file.name}: cannot be read as DICOM"):
        read_image(tmp_path / "study")


@pytest.mark.parametrize("kind", ["seg", "rtstruct"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_an_object_without_an_image_is_refused_by_name(tmp_path, kind, as_folder):
    path = tmp_path / "objects" / f"{kind}.dcm"
    path.parent.mkdir()
    if kind == "seg":
        voxels = numbers((8, 9, 4))
        masks = (voxels > 0)[None]
        save(segmentation(ct_series(tmp_path / "ct", voxels), masks, ["bright"]), path)
    else:
        contours(path)
    said = "DICOM SEG.*segmentation can be given as the reference's label" if kind == "seg" else "RTSTRUCT"
    with pytest.raises(InputError, match=said):
        read_image(path.parent if as_folder else path)


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
