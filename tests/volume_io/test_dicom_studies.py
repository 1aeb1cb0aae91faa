"""Studies exported into one folder: a scan with localizers, captures, reports and other series beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.remarks import listening
from iris_core.volume_io import read_image, read_label
from iris_core.volume_io.folder.cases import survey

pytest.importorskip("pydicom")
from tests.dicom_files import AXIAL, CAPTURE, CT, numbers, write_enhanced, write_series

pytestmark = pytest.mark.dicom
DOSE, STATE = "1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.11.1"
TURNED = np.array([[0.0, 0, 2.5, 4], [-0.75, 0, 0, 9], [0, -1.25, 0, 7], [0, 0, 0, 1]])


def localizer(folder: Path) -> None:
    """Two slices in two planes, of a series of their own."""
    turned = TURNED.copy()

    def second_is_turned(dataset, k: int) -> None:
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1] if k else [0, 1, 0, 0, 0, -1]

    write_series(folder, numbers((8, 9, 2)), turned, series="1.2.3.70", name="scout", change=second_is_turned)


def captures(folder: Path) -> None:
    def no_place(dataset, _: int) -> None:
        for name in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
            delattr(dataset, name)

    write_series(
        folder, numbers((8, 9, 3)), AXIAL, sop_class=CAPTURE, series="1.2.3.71", name="shot", change=no_place
    )


def of_class(uid: str, name: str):
    """Writes a file of a class that holds no image."""

    def write(folder: Path) -> None:
        (file,) = write_series(folder, numbers((8, 9, 1)), AXIAL, series=f"1.2.3.{name}", name=name)
        import pydicom

        dataset = pydicom.dcmread(file)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid
        for element in ("PixelData", "Rows", "Columns"):
            delattr(dataset, element)
        dataset.Modality = "SR" if uid == DOSE else "PR"
        dataset.save_as(file)

    return write


report, state = of_class(DOSE, "72"), of_class(STATE, "73")


@pytest.mark.parametrize("beside", [localizer, captures])
def test_a_scan_is_read_and_what_makes_no_volume_beside_it_is_named(tmp_path, beside):
    voxels = numbers()
    write_series(tmp_path / "study", voxels, AXIAL)
    beside(tmp_path / "study")
    with listening() as heard:
        image = read_image(tmp_path / "study")
    assert np.array_equal(image.array, voxels) and np.allclose(image.affine, AXIAL)
    (said,) = [one.text for one in heard]
    name = "scout (2 files" if beside is localizer else "shot (3 files"
    assert "thin (10 files" in said and "left out" in said and name in said


@pytest.mark.parametrize(("beside", "kind"), [(report, "Dose SR"), (state, "Presentation State")])
def test_objects_without_an_image_are_passed_over_and_named_in_a_folders_run(tmp_path, beside, kind):
    voxels = numbers()
    write_series(tmp_path / "study", voxels, AXIAL)
    beside(tmp_path / "study")
    assert np.array_equal(read_image(tmp_path / "study").array, voxels)
    found = survey(tmp_path / "study")
    assert [case.path for case in found.cases] == [tmp_path / "study"]
    (entry,) = found.left_out
    assert kind in entry.reason and "without an image" in entry.reason


def test_a_file_of_several_frames_beside_a_series_is_a_case_of_its_own(tmp_path):
    folder, voxels, others = tmp_path / "study", numbers(), numbers((8, 9, 6), 1)
    write_series(folder, voxels, AXIAL)
    write_enhanced(folder / "multi.dcm", others, AXIAL)
    report(folder)
    found = survey(folder)
    assert {case.name for case in found.cases} == {"multi", "study"}
    assert [entry.path.name for entry in found.left_out] == ["72000.dcm"]
    read_by = {case.name: read_image(case.path) for case in found.cases}
    assert np.array_equal(read_by["study"].array, voxels)
    assert np.array_equal(read_by["multi"].array, others)
    with listening() as heard:
        read_image(folder)
    assert "multi.dcm" in heard[0].text and "of their own" in heard[0].text
    (folder / "multi.dcm").rename(folder / "study.dcm")
    assert [entry.name for entry in survey(folder).refused] == ["study"], "two results of one name"


def test_two_phases_are_refused_with_both_named_whatever_lies_beside_them(tmp_path):
    for number, name in enumerate(("arterial", "venous")):
        write_series(tmp_path / "study", numbers(seed=number), AXIAL, series=f"1.2.3.{number}", name=name)
    localizer(tmp_path / "study")
    with pytest.raises(InputError, match=r"several DICOM series.*arterial.*scout.*venous"):
        read_image(tmp_path / "study")


def test_a_scan_with_a_missing_slice_does_not_give_way_to_a_smaller_series(tmp_path):
    files = write_series(tmp_path / "study", numbers(), AXIAL)
    files[4].unlink()
    write_series(tmp_path / "study", numbers((8, 9, 4)), AXIAL, series="1.2.3.2", name="small")
    with pytest.raises(InputError, match=r"several DICOM series.*small.*thin"):
        read_image(tmp_path / "study")


def test_a_slice_of_another_patient_in_the_same_series_is_never_left_out(tmp_path):
    def other(dataset, k: int) -> None:
        if k == 9:
            dataset.PatientID = "somebody else"

    write_series(tmp_path / "study", numbers(), AXIAL, sop_class=CT, change=other)
    with pytest.raises(InputError, match=r"several DICOM series.*differ in PatientID"):
        read_image(tmp_path / "study")


@pytest.mark.parametrize("suffix", [".img", ".hdr", ".nii.gz", ".nrrd", ".mha"])
def test_a_dicom_file_under_another_formats_suffix_is_refused_as_what_it_is(tmp_path, suffix):
    file = write_enhanced(tmp_path / "a.dcm", numbers(), AXIAL)
    other = file.rename(tmp_path / f"a{suffix}")
    for read in (read_image, read_label):
        with pytest.raises(InputError, match=r"is a DICOM file under the suffix of another format.*\.dcm"):
            read(other)
