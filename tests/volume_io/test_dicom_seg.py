"""Laws of DICOM segmentations as labels, on files of pydicom and highdicom, whichever release of both."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label
from iris_core.volume_io import read_image, read_label
from tests import seg_files

pytest.importorskip("highdicom")
pytestmark = pytest.mark.dicom
NAMES = ["liver", "Gefäß, links"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A CT series on disk, its datasets and two masks, which share voxels."""
    folder = tmp_path_factory.mktemp("study") / "ct"
    voxels = np.random.default_rng(0).integers(-1000, 1000, (10, 12, 8)).astype(np.int16)
    slices = seg_files.ct_series(folder, voxels)
    masks = np.zeros((2, 10, 12, 8), bool)
    masks[0, 2:6, 3:9, 2:5], masks[1, 5:8, 2:5, 4:6] = True, True
    return folder, slices, masks


def kinds() -> list[str]:
    hd = pytest.importorskip("highdicom")
    known = hd.seg.SegmentationTypeValues.__members__
    return [kind for kind in ("BINARY", "FRACTIONAL", "LABELMAP") if kind in known]


@pytest.mark.parametrize("whole", [False, True], ids=["painted slices", "all slices"])
@pytest.mark.parametrize("kind", kinds())
def test_a_segmentation_lies_on_its_series_with_its_names(tmp_path, drawn, kind, whole):
    folder, slices, masks = drawn
    masks = masks if kind != "LABELMAP" else masks & np.array([True, False])[:, None, None, None]
    names = NAMES if kind != "LABELMAP" else NAMES[:1]
    seg = seg_files.segmentation(slices, masks[: len(names)], names, kind, omit_empty_frames=not whole)
    path = seg_files.save(seg, tmp_path / "seg.dcm")
    for place in (path, tmp_path):  # the file, or the folder that holds it
        label = fit_label(read_label(place), read_image(folder))
        assert np.array_equal(label.masks(range(1, 1 + len(names))), masks[: len(names)])
        assert label.names == dict(enumerate(names, start=1))
        assert label.source == path
    assert read_label(path, labels={1: "Leber"}).names[1] == "Leber"


def test_overlapping_segments_stay_apart(tmp_path, drawn):
    _, slices, masks = drawn
    both = masks.copy()
    both[1, 2:6, 3:9, 3] = True
    path = seg_files.save(seg_files.segmentation(slices, both, NAMES), tmp_path / "seg.dcm")
    assert len(read_label(path).layers) == 2


def test_one_segment_on_one_slice_is_read(tmp_path, drawn):
    """What is the same in all frames may stand once for all of them."""
    folder, slices, masks = drawn
    one = masks[:1] & (np.arange(8) == 3)
    path = seg_files.save(seg_files.segmentation(slices, one, NAMES[:1]), tmp_path / "seg.dcm")
    assert np.array_equal(fit_label(read_label(path), read_image(folder)).masks([1]), one)


@pytest.mark.parametrize("stated", [-2.5, None], ids=["negative", "not stated"])
@pytest.mark.parametrize("every", [1, 2, 3, 5])
@pytest.mark.parametrize("thickness", [2.5, 1.25, 0.5])
def test_slices_lie_in_their_place_whatever_the_file_states_of_their_distance(
    tmp_path, drawn, stated, every, thickness
):
    folder, slices, _ = drawn
    masks = np.zeros((1, 10, 12, 8), bool)
    masks[0, 2:6, 3:9, 1::every] = True
    seg = seg_files.segmentation(slices, masks, NAMES[:1])
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SliceThickness, measures.SpacingBetweenSlices = thickness, stated or 2.5
    if stated is None:
        del measures.SpacingBetweenSlices
    label = fit_label(read_label(seg_files.save(seg, tmp_path / "seg.dcm")), read_image(folder))
    assert np.array_equal(label.masks([1]), masks)


def test_a_segmentation_beside_its_series_is_found_and_two_are_refused(tmp_path, drawn):
    _, slices, masks = drawn
    voxels = np.zeros((10, 12, 8), np.int16)
    seg_files.ct_series(tmp_path / "study", voxels)
    seg = seg_files.segmentation(slices, masks, NAMES)
    seg_files.save(seg, tmp_path / "study" / "a.dcm")
    assert read_label(tmp_path / "study").names == dict(enumerate(NAMES, start=1))
    seg_files.save(seg_files.segmentation(slices, masks, NAMES), tmp_path / "study" / "b.dcm")
    with pytest.raises(InputError, match=r"holds several segmentations.*a.dcm, b.dcm.*give the file"):
        read_label(tmp_path / "study")


def test_contours_are_refused_by_name_with_a_command_file_or_folder_alike(tmp_path):
    path = seg_files.contours(tmp_path / "rt.dcm")
    said = []
    for place in (path, tmp_path):
        with pytest.raises(InputError) as caught:
            read_label(place)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "rt.dcm: is a DICOM RTSTRUCT" in said[0]
    assert f"plastimatch convert --input '{path}'" in said[0]


def test_an_image_series_is_no_label_file_or_folder_alike(drawn):
    folder, _, _ = drawn
    for place in (folder, folder / "slice000.dcm"):
        with pytest.raises(InputError, match=r"without a segmentation.*found DICOM storage class.*drawn on"):
            read_label(place)


@pytest.mark.parametrize("syntax", ["RLELossless", "JPEGLSLossless"])
def test_compressed_frames_are_read(tmp_path, drawn, syntax):
    import pydicom.uid

    folder, slices, masks = drawn
    options = {"transfer_syntax_uid": getattr(pydicom.uid, syntax)}
    seg = seg_files.segmentation(slices, masks, NAMES, "FRACTIONAL", **options)
    path = seg_files.save(seg, tmp_path / "seg.dcm")
    label = fit_label(read_label(path), read_image(folder))
    assert np.array_equal(label.masks([1, 2]), masks)


def test_a_segmentation_without_the_preamble_is_read(tmp_path, drawn):
    _, slices, masks = drawn
    path = seg_files.save(seg_files.segmentation(slices, masks, NAMES), tmp_path / "seg")
    whole = read_label(path)
    path.write_bytes(path.read_bytes()[132:])
    assert np.array_equal(read_label(path).masks([1, 2]), whole.masks([1, 2]))


def test_a_damaged_segmentation_is_told_in_one_line(tmp_path, drawn):
    _, slices, masks = drawn
    path = seg_files.save(seg_files.segmentation(slices, masks, NAMES), tmp_path / "seg.dcm")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"seg.dcm: cannot be read as a DICOM SEG"):
        read_label(path)
