"""Laws of names: they stay with the file, in the forms that other programs write and read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_image, read_label, write_label
from iris_core.volume_io.label_header import label_table, why_no_image

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
NAMES = {1: "gall bladder", 3: "Gefäß <links> & co, ]]> fein", 12: "absent"}
COLORS = {1: (1, 2, 3), 3: (250, 128, 0)}
FORMATS = [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"]

#: The elements of TotalSegmentator's files, in an extension of code 0 with blanks behind them.
TOTAL = (
    '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension> <Date><![CDATA[2024-01-31T10:00:00]]></Date> '
    '<VolumeInformation Index="0"> <LabelTable>\n{labels}\n</LabelTable> '
    "<StudyMetaDataLinkSet> </StudyMetaDataLinkSet> <VolumeType><![CDATA[Label]]></VolumeType> "
    "</VolumeInformation></CaretExtension>\n      "
)
TOTAL_LABEL = '<Label Key="{}" Red="0.8" Green="0.2" Blue="0.0" Alpha="1"><![CDATA[{}]]></Label>'


def array() -> np.ndarray:
    values = np.zeros((8, 9, 7), np.uint8)
    values[1:3, 2:5, 2:5], values[4:7, 3:7, 1:4] = 1, 3
    return values


def as_total(path: Path, names: list[tuple[object, str]], code: int = 0, text: str = TOTAL) -> Path:
    """A label as TotalSegmentator stores it."""
    image = nib.Nifti1Image(array(), AFFINE)
    labels = "\n".join(TOTAL_LABEL.format(value, name) for value, name in names)
    content = text.replace("{labels}", labels).encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension(code, content))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_names_and_colours_come_back_from_every_format(tmp_path, suffix):
    write_label(LabelVolume(array(), AFFINE, NAMES, COLORS), tmp_path / f"a{suffix}")
    label = read_label(tmp_path / f"a{suffix}")
    assert label.names == NAMES
    assert {value: label.colors[value] for value in COLORS} == COLORS
    assert np.array_equal(label.array, array()) and np.allclose(label.affine, AFFINE)
    assert label_table(tmp_path / f"a{suffix}").own


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_other_readers_find_the_same_voxels(tmp_path, suffix):
    import SimpleITK as sitk

    write_label(LabelVolume(array(), AFFINE, NAMES), tmp_path / f"a{suffix}")
    read = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    assert np.array_equal(sitk.GetArrayFromImage(read).T, array())
    assert read.GetSpacing() == pytest.approx((2, 2, 3)) and read.GetOrigin() == pytest.approx((0, 0, 0))
    if suffix.startswith(".nii"):
        assert np.array_equal(nib.load(tmp_path / f"a{suffix}").dataobj, array())


@pytest.mark.parametrize("names", [NAMES, {3: "liver"}], ids=["several", "one"])
def test_totalsegmentator_reads_ours(tmp_path, names):
    """Its reader takes the first extension whole, as XML, and of each Label the Key and the text."""
    write_label(LabelVolume(array(), AFFINE, names), tmp_path / "a.nii.gz")
    content = nib.load(tmp_path / "a.nii.gz").header.extensions[0].get_content()
    root = ElementTree.fromstring(content)  # trailing zero bytes would be an error here
    assert root.tag == "CaretExtension"
    labels = root.findall("VolumeInformation/LabelTable/Label")
    assert {int(entry.get("Key")): entry.text for entry in labels} == names
    assert all(0 <= float(entry.get(part)) <= 1 for entry in labels for part in ("Red", "Green", "Blue"))


@pytest.mark.parametrize("code", [0, 30])
def test_we_read_totalsegmentators_and_workbenchs(tmp_path, code):
    path = as_total(tmp_path / "a.nii.gz", [(1, "spleen"), (3, "kidney_right"), (117, "sacrum")], code)
    label = read_label(path)
    assert label.names == {1: "spleen", 3: "kidney_right", 117: "sacrum"}
    assert label.colors[1] == (204, 51, 0) and label.values == (1, 3)
    assert read_label(path, labels={1: "Milz"}).names[1] == "Milz"  # names by hand go first


def test_entries_that_name_nothing_are_passed_over(tmp_path):
    names = [(0, "???"), (1, ""), (3, "liver"), (3, "again"), ("x", "y"), (-4, "z")]
    assert read_label(as_total(tmp_path / "a.nii", names)).names == {3: "liver"}


def test_a_damaged_table_is_warned_of_and_the_label_still_read(tmp_path, caplog):
    path = as_total(tmp_path / "a.nii.gz", [(1, "spleen")], text=TOTAL.replace("</LabelTable>", ""))
    assert read_label(path).names == {}
    assert "a.nii.gz: the names of its label values cannot be read" in caplog.text


def test_extensions_of_others_are_left_alone(tmp_path):
    path = as_total(tmp_path / "a.nii", [], code=6, text="a comment")
    assert read_label(path).names == {} and label_table(path) is None and why_no_image(path) is None


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("names", [NAMES, {}], ids=["named", "nameless"])
def test_an_own_result_is_never_taken_for_an_image(tmp_path, suffix, names):
    path = tmp_path / f"a{suffix}"
    write_label(LabelVolume(array(), AFFINE, names), path)
    with pytest.raises(InputError, match="that Iris wrote, not an image"):
        read_image(path)
    assert read_label(path).names == (names or ({1: "label_1", 3: "label_3"} if "seg" in suffix else {}))


def test_another_programs_segmentation_is_no_image_either(tmp_path):
    with pytest.raises(InputError, match=r"not an image: its header names label values \(spleen\)"):
        read_image(as_total(tmp_path / "a.nii.gz", [(1, "spleen")]))
