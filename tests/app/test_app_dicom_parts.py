"""The DICOM parts that need no server: anatomy codes, and SEG files of all kinds read back."""

from __future__ import annotations

import numpy as np
import pytest

from apps.iris_app.datastores.anatomy_codes import CODES, LESIONS, segment_attribute


def code(name: str) -> str:
    return segment_attribute(name, 1, (1, 2, 3))["SegmentedPropertyTypeCodeSequence"]["CodeValue"]


@pytest.mark.parametrize("name", ["liver", "Liver", " LIVER "])
def test_a_known_organ_has_its_own_code_however_it_is_written(name):
    assert code(name) == "10200004"


@pytest.mark.parametrize("name", ["kidney_left", "Left kidney", "left-kidney"])
def test_a_side_is_said_by_a_modifier(name):
    attribute = segment_attribute(name, 1, (1, 2, 3))
    assert attribute["SegmentedPropertyTypeCodeSequence"]["CodeMeaning"] == "Kidney"
    assert attribute["SegmentedPropertyTypeModifierCodeSequence"]["CodeMeaning"] == "Left"


def test_an_unknown_class_is_never_coded_as_an_organ():
    organs = {value for value, _ in CODES.values()}
    assert code("my structure") not in organs and code("left thing") not in organs


def test_a_lesion_is_coded_as_morphology():
    category = segment_attribute("tumour", 1, (1, 2, 3))["SegmentedPropertyCategoryCodeSequence"]
    assert category["CodeMeaning"] == "Morphologically Abnormal Structure"


def test_no_two_anatomies_share_a_code():
    values = [value for value, _ in [*CODES.values(), *LESIONS.values()]]
    twins = {value for value in values if values.count(value) > 1}
    assert twins == {LESIONS["tumor"][0]}  # one word in two spellings


def seg(masks: np.ndarray, kind: str, spacing: tuple[float, float, float], painted: list[int]):
    """A SEG dataset of (K, i, j, k) masks with frames of the painted slices, in LPS order along the axes."""
    pydicom = pytest.importorskip("pydicom")
    Dataset, Sequence = pydicom.dataset.Dataset, pydicom.sequence.Sequence

    def item(**values) -> Sequence:
        entry = Dataset()
        for name, value in values.items():
            setattr(entry, name, value)
        return Sequence([entry])

    dataset = Dataset()
    dataset.Modality, dataset.SegmentationType = "SEG", kind
    _, dataset.Columns, dataset.Rows, _ = masks.shape
    dataset.SegmentSequence = Sequence(
        item(SegmentNumber=n + 1, SegmentLabel=f"organ {n + 1}")[0] for n in range(len(masks))
    )
    dataset.SharedFunctionalGroupsSequence = item(
        PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelMeasuresSequence=item(
            PixelSpacing=[spacing[1], spacing[0]], SliceThickness=spacing[2], SpacingBetweenSlices=spacing[2]
        ),
    )
    groups, frames = [], []
    for k in painted:
        place = item(ImagePositionPatient=[10.0, 20.0, 30.0 + k * spacing[2]])
        if kind == "LABELMAP":
            groups.append(item(PlanePositionSequence=place)[0])
            frames.append(sum((n + 1) * mask[:, :, k].T for n, mask in enumerate(masks)))
            continue
        for n, mask in enumerate(masks):
            number = item(ReferencedSegmentNumber=n + 1)
            groups.append(item(PlanePositionSequence=place, SegmentIdentificationSequence=number)[0])
            frames.append(mask[:, :, k].T * (200 if kind == "FRACTIONAL" else 1))
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    dataset.MaximumFractionalValue = 255
    pixels = np.array(frames, np.uint8)
    return dataset, pixels


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_every_kind_of_seg_gives_the_same_label_on_the_painted_slices(kind, monkeypatch):
    from iris_core.volume_io.dicom_label import seg as dicom_seg

    masks = np.zeros((2, 4, 5, 8), bool)
    masks[0, 1:3, 2:4, 3:6], masks[1, 3:, :2, 4:7] = True, True
    dataset, pixels = seg(masks, kind, (2.0, 3.0, 4.0), painted=[3, 4, 5, 6])
    monkeypatch.setattr(type(dataset), "pixel_array", property(lambda self: pixels), raising=False)

    label = dicom_seg._label(dataset, None)

    assert label.partial and label.shape == (4, 5, 4)
    assert np.array_equal(label.masks([1, 2]), masks[..., 3:7])
    assert label.names == {1: "organ 1", 2: "organ 2"}
    assert np.allclose(label.affine @ [0, 0, 0, 1], [-10, -20, 42, 1])
    assert np.allclose(label.spacing, (2, 3, 4))
