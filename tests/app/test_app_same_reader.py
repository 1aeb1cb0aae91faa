"""The app reads final labels as the command line does: one reader, the same values, names and refusals."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.catalogue.final_label import read_final
from apps.iris_app.catalogue.study import FinalLabel
from apps.iris_app.lib.options import Options
from iris_core.errors import InputError
from iris_core.remarks import listening
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_image, read_label, write_label
from tests.app_folder import AppFolder
from tests.volume_io.test_names_in_files import AFFINE, array, as_total

NAMES = {1: "spleen", 3: "kidney"}


def of_total(folder: Path) -> Path:
    return as_total(folder / "a.nii.gz", [(1, "spleen"), (3, "kidney")])


def of_iris(folder: Path, suffix: str = ".nii.gz") -> Path:
    write_label(LabelVolume(array(), AFFINE, NAMES), folder / f"a{suffix}")
    return folder / f"a{suffix}"


def of_slicer(folder: Path) -> Path:
    return of_iris(folder, ".seg.nrrd").rename(folder / "a.nrrd")


@pytest.mark.parametrize("store", [of_total, of_iris, of_slicer])
def test_names_in_the_file_go_before_those_of_the_datastore(tmp_path, store):
    path = store(tmp_path)
    label = read_final(FinalLabel(path, "", {1: "liver", 3: "liver too"}))
    assert label.names == read_label(path).names == NAMES
    assert np.array_equal(label.array, read_label(path).array)


def test_values_that_the_file_does_not_name_are_named_by_the_datastore(tmp_path):
    path = as_total(tmp_path / "a.nii.gz", [(1, "spleen"), (3, "3")])
    assert read_final(FinalLabel(path, "", {1: "liver", 3: "kidney"})).names == {1: "spleen", 3: "kidney"}


@pytest.mark.parametrize("noise", [0.0001, 0.3])
def test_numbers_near_whole_ones_and_others_are_treated_alike(tmp_path, noise):
    nib.save(nib.Nifti1Image(array() * np.float32(1 - noise), AFFINE), tmp_path / "a.nii.gz")
    if noise < 0.01:
        assert np.array_equal(read_final(FinalLabel(tmp_path / "a.nii.gz", "")).array, array())
        return
    said = []
    for read in (lambda path: read_final(FinalLabel(path, "")), read_label):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "a.nii.gz")
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.dicom
def test_a_dicom_segmentation_is_read_alike_and_contours_are_refused_alike(tmp_path):
    seg_files = pytest.importorskip("tests.seg_files")
    pytest.importorskip("highdicom")
    slices = seg_files.ct_series(tmp_path / "ct", np.zeros((10, 12, 8), np.int16))
    masks = np.zeros((1, 10, 12, 8), bool)
    masks[0, 2:6, 3:9, 2:5] = True
    path = seg_files.save(seg_files.segmentation(slices, masks, ["liver"]), tmp_path / "seg.dcm")
    final, plain = read_final(FinalLabel(path, "", {1: "spleen"})), read_label(path)
    assert final.names == plain.names == {1: "liver"} and np.array_equal(final.array, plain.array)
    with pytest.raises(InputError, match=r"RTSTRUCT.*plastimatch"):
        read_final(FinalLabel(seg_files.contours(tmp_path / "rt.dcm"), ""))


def rewritten(path: Path, change) -> None:
    """Stores a NIfTI file again after a change of the image that nibabel holds."""
    image = nib.load(path)
    image = nib.Nifti1Image(np.asarray(image.dataobj), image.affine)
    nib.save(change(image) or image, path)


def with_another_qform(image: nib.Nifti1Image) -> None:
    image.set_sform(image.affine, 2)
    other = image.affine.copy()
    other[:3, 3] += 20
    image.set_qform(other, 1)


def without_a_form(image: nib.Nifti1Image) -> nib.Nifti1Image:
    bare = nib.Nifti1Image(np.asarray(image.dataobj), None)
    bare.header.set_zooms(image.header.get_zooms())
    return bare


def nearly_whole(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image(np.asarray(image.dataobj) * np.float32(0.997), image.affine)


def test_what_the_reader_remarks_of_references_and_study_reaches_the_answer_as_it_does_the_terminal(tmp_path):
    folder = AppFolder(tmp_path)
    label = folder.label("case_1")
    bare = folder.label("case_2", names={})
    rewritten(folder.root / "case_1.nii.gz", with_another_qform)
    rewritten(label, with_another_qform)
    rewritten(bare, nearly_whole)
    query = folder.root / "case_3.nii.gz"
    rewritten(query, without_a_form)
    folder.refresh()
    annotator = folder.annotator()
    for _ in range(2):  # a result that is kept keeps them, and a new process reads what an old one wrote
        record = annotator.annotate(folder.catalogue, "case_3", Options()).record
        said = record["warnings"]
        for begin, part in (
            ("case_1: ", "sform (code 2) and qform (code 1)"),
            ("the label of case_1: ", "sform (code 2) and qform (code 1)"),
            ("the label of case_2: ", "away from whole numbers were rounded"),
            ("case_2: ", "names of the values 1, 4 are those of the other labels"),
            ("this study: ", "has neither sform nor qform"),
        ):
            assert [line for line in said if line.startswith(begin) and part in line], (begin, said)
        assert not any(str(tmp_path) in line for line in said)
        annotator = folder.annotator()
    with listening() as heard:
        for path in (folder.root / "case_1.nii.gz", query):
            read_image(path)
        for path in (label, bare):
            read_label(path)
    for one in heard:
        assert any(line.endswith(f": {one.text}") for line in said), "the reader of the command line agrees"


def test_a_label_that_is_its_image_is_left_out_of_the_apps_references(tmp_path):
    folder = AppFolder(tmp_path)
    folder.label("case_1")
    mask = folder.label("case_2", values={1: 1}, names={1: "bright"})
    (folder.root / "case_2.nii.gz").write_bytes(mask.read_bytes())
    folder.refresh()
    record = folder.annotator().annotate(folder.catalogue, "case_3", Options()).record
    (line,) = record["warnings"]
    assert line.startswith("case_2 is left out: ") and "the label is the image itself" in line
    assert record["references_used"]["bright"] == ["case_1"]
