"""Laws of refusal: a DICOM series that makes no single volume is refused in one line that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.volume_io import read_image
from tests.dicom_files import AXIAL, CAPTURE, both, compress, numbers, plane, remove, write_series
from tests.seg_files import contours, ct_series, save, segmentation

pytestmark = pytest.mark.dicom


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


def far_away(dataset, k):
    if k == 9:
        dataset.ImagePositionPatient = [60, 50, 9000.5]


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


def two_echoes(dataset, k):
    dataset.EchoTime = 2.3 if k % 2 else 4.6


def two_inversions(dataset, k):
    dataset.InversionTime = 100 if k < 5 else 900


def two_times_apart(dataset, k):
    dataset.TemporalPositionIdentifier = k % 2 + 1


def one_without_rescaling(dataset, k):
    dataset.RescaleIntercept = -1024
    if k == 4:
        del dataset.RescaleSlope, dataset.RescaleIntercept


def some_without_intercept(dataset, k):
    dataset.RescaleIntercept = -1024
    if k > 6:
        del dataset.RescaleIntercept


def two_places_of_reference(dataset, k):
    dataset.FrameOfReferenceUID = f"1.2.3.{4 + k % 2}"


def two_patients(dataset, k):
    dataset.SeriesInstanceUID, dataset.PatientID = "", "P1" if k < 5 else "P2"


def two_studies(dataset, k):
    dataset.StudyInstanceUID = "1.2.3" if k < 5 else "1.2.4"


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
    (far_away, "slices are missing.*between .*9000.5"),
    (missing, "slices are missing.*2 missing, the first between"),
    (tilted, "tilted gantry"),
    (colour, "colour picture.*RGB"),
    (through_a_table, "Modality LUT"),
    (broken_orientation, "no pair of axes"),
    (slope_of_zero, "slope of 0"),
    (two_echoes, "changes its echo time.*in 5 slices.*in 5 slices"),
    (two_inversions, "changes its inversion time"),
    (two_times_apart, "changes its time point.*1 in 5"),
    (one_without_rescaling, "rescales some.*RescaleSlope in 9 of 10 slices, none in frame 1 of thin008.dcm"),
    (some_without_intercept, "rescales some.*RescaleIntercept in 7 of 10"),
    (two_places_of_reference, "several DICOM series.*5 files.*5 files.*differ in FrameOfReferenceUID"),
    (two_patients, "several DICOM series.*differ in PatientID"),
    (two_studies, "several DICOM series.*differ in StudyInstanceUID"),
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
    with pytest.raises(InputError, match=r"2D image.*folder with all slices"):
        read_image(file)


def test_a_screen_capture_is_refused(tmp_path):
    gone = remove("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient")
    write_series(tmp_path / "shots", numbers(), AXIAL, sop_class=CAPTURE, change=gone)
    with pytest.raises(InputError, match=r"has no PixelSpacing.*screen capture"):
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


@pytest.mark.parametrize("kept", [0, 100, 400])
def test_a_broken_file_at_the_end_of_a_series_is_not_passed_over(tmp_path, kept):
    file = write_series(tmp_path / "ct", numbers(), AXIAL)[-1]
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(InputError, match=f"{file.name}: .*cut short"):
        read_image(tmp_path / "ct")


def another_syntax(file: Path, uid: str) -> None:
    """Writes another transfer syntax over the one of a JPEG 2000 file; pydicom refuses those it knows not."""
    data, old, new = file.read_bytes(), b"1.2.840.10008.1.2.4.90", uid.encode().ljust(24, b"\0")
    at, lead = data.index(old), 132 + 8  # where the length of the file's own elements stands
    length = int.from_bytes(data[lead : lead + 4], "little") + len(new) - len(old)
    data = data[: at - 2] + len(new).to_bytes(2, "little") + new + data[at + len(old) :]
    file.write_bytes(data[:lead] + length.to_bytes(4, "little") + data[lead + 4 :])


@pytest.mark.parametrize(
    ("syntax", "name"),
    [("4.102", "MPEG-4"), ("4.110", r"1.2.840.10008.1.2.4.110")],
)
def test_a_compression_that_nothing_here_decodes_is_refused_with_the_file_and_a_way_out(
    tmp_path, syntax, name
):
    files = write_series(tmp_path / "ct", numbers((32, 24, 4)), AXIAL)
    for k, file in enumerate(files):
        compress(file, numbers((32, 24, 4))[:, :, k], "JPEG2000", signed=True)
        another_syntax(file, f"1.2.840.10008.1.2.{syntax}")
    with pytest.raises(
        InputError, match=rf"thin00\d.dcm: cannot be decoded.*{name}.*gdcmconv --raw"
    ) as caught:
        read_image(tmp_path / "ct")
    assert "\n" not in str(caught.value)
