"""Laws of Slicer's segmentation file: names, colours, values and overlapping layers survive both ways."""

from __future__ import annotations

import gzip
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label
from iris_core.volume.volume import LabelVolume, Volume, label_from_masks
from iris_core.volume_io import read_label, write_label

RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # of a file whose axes run along left, posterior, superior


def slicer_file(path: Path, array: np.ndarray, fields: dict[str, str], origin=(0, 0, 0)) -> Path:
    """A .seg.nrrd as Slicer stores it: (I, J, K), or (layers, I, J, K) with the list axis first."""
    lead, kind = ("none ", "list ") if array.ndim == 4 else ("", "")
    lines = [
        "NRRD0004", "type: unsigned char", f"dimension: {array.ndim}", "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, array.shape))}", f"space directions: {lead}(1,0,0) (0,1,0) (0,0,1)",
        f"kinds: {kind}domain domain domain", "endian: little", "encoding: gzip",
        f"space origin: ({','.join(map(str, origin))})",
        *(f"{key}:={value}" for key, value in fields.items()),
    ]  # fmt: skip
    data = gzip.compress(array.astype(np.uint8).tobytes(order="F"))
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + data)
    return path


def segment(number: int, name: str, value: int, layer: int, color="1 0.5 0") -> dict[str, str]:
    entry = {"ID": f"s{number}", "Name": name, "Color": color, "LabelValue": str(value), "Layer": str(layer)}
    return {f"Segment{number}_{key}": text for key, text in entry.items()}


def blocks() -> np.ndarray:
    """(2, 6, 7, 8): two blocks that overlap."""
    layers = np.zeros((2, 6, 7, 8), dtype=np.uint8)
    layers[0, :4] = 1
    layers[1, 2:] = 1
    return layers


def test_names_colours_and_values_are_read(tmp_path):
    array = blocks()[0] * 3
    fields = segment(0, "left kidney", 3, 0) | segment(1, "absent", 7, 0, "0 0 1")
    label = read_label(slicer_file(tmp_path / "a.seg.nrrd", array, fields))
    assert np.array_equal(label.array, array)
    assert label.names == {3: "left kidney", 7: "absent"}
    assert label.colors == {3: (255, 128, 0), 7: (0, 0, 255)}
    assert np.allclose(label.affine, RAS)
    assert label.partial and label.layers == ()


def test_layers_that_overlap_are_kept_and_numbered_where_they_share_a_value(tmp_path):
    fields = segment(0, "organ", 1, 0) | segment(1, "vessel", 1, 1)
    label = read_label(slicer_file(tmp_path / "a.seg.nrrd", blocks(), fields))
    assert label.names == {1: "organ", 2: "vessel"}
    assert np.array_equal(label.masks([1, 2]), blocks() == 1)
    assert (label.array[2:] == 2).all()  # the later layer shows


def test_layers_with_values_of_their_own_keep_them(tmp_path):
    layers = blocks() * np.array([5, 9], dtype=np.uint8)[:, None, None, None]
    fields = segment(0, "organ", 5, 0) | segment(1, "vessel", 9, 1)
    label = read_label(slicer_file(tmp_path / "a.seg.nrrd", layers, fields))
    assert label.values == (5, 9)
    assert np.array_equal(label.masks([5, 9]), blocks() == 1)


def test_a_file_of_an_old_slicer_has_one_layer_a_segment(tmp_path):
    fields = {"Segment0_Name": "organ", "Segment1_Name": "vessel"}
    label = read_label(slicer_file(tmp_path / "a.seg.nrrd", blocks(), fields))
    assert np.array_equal(label.masks([1, 2]), blocks() == 1)


def test_names_given_by_hand_go_before_the_files(tmp_path):
    path = slicer_file(tmp_path / "a.seg.nrrd", blocks()[0], segment(0, "Segment_1", 1, 0))
    assert read_label(path, labels={1: "liver"}).names == {1: "liver"}


def test_a_segmentation_of_a_few_slices_is_embedded_in_its_image(tmp_path):
    path = slicer_file(tmp_path / "a.seg.nrrd", blocks()[0][:, :, :1], segment(0, "organ", 1, 0), (1, 2, 3))
    image = Volume(np.zeros((9, 10, 12), np.float32), RAS)
    fitted = fit_label(read_label(path), image)
    assert np.array_equal(np.argwhere(fitted.array).min(axis=0), [1, 2, 3])
    assert fitted.array.sum() == blocks()[0][:, :, :1].sum()


def test_written_and_read_again_everything_is_kept(tmp_path):
    masks = blocks() == 1
    affine = np.array([[0, -0.8, 0, 12.5], [0.7, 0, 0, -3], [0, 0, 2.5, 40], [0, 0, 0, 1]])
    names, colors = {2: "gall  bladder", 300: "Gefäß", 5: "absent"}, {2: (1, 2, 3), 300: (250, 128, 0)}
    written = label_from_masks(masks, [2, 300], affine, names=names, colors=colors)
    write_label(written, tmp_path / "a.seg.nrrd")
    label = read_label(tmp_path / "a.seg.nrrd")
    assert np.array_equal(label.masks([2, 300]), masks)
    assert label.names == {2: "gall bladder", 300: "Gefäß", 5: "absent"}
    assert {value: label.colors[value] for value in colors} == colors
    assert np.allclose(label.affine, affine, atol=1e-6)


def test_the_header_says_what_slicer_looks_for(tmp_path):
    write_label(label_from_masks(blocks() == 1, [1, 2], RAS, names={1: "a", 2: "b"}), tmp_path / "a.seg.nrrd")
    text = (tmp_path / "a.seg.nrrd").read_bytes().split(b"\n\n")[0].decode()
    lines = dict(
        re.split(r":=|: ", line, maxsplit=1) for line in text.splitlines() if ":" in line and line[0] != "#"
    )
    assert lines["kinds"] == "list domain domain domain"
    assert lines["sizes"] == "2 6 7 8"
    assert lines["Segmentation_MasterRepresentation"] == "Binary labelmap"
    for number, field in itertools.product((0, 1), ("ID", "Name", "Color", "Extent", "LabelValue", "Layer")):
        assert f"Segment{number}_{field}" in lines
    assert lines["Segment1_Extent"] == "2 5 0 6 0 7"
    assert lines["Segment1_Layer"] == "1"
    assert all(0 <= float(part) <= 1 for part in lines["Segment0_Color"].split())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (segment(0, "organ", 0, 0), "organ.*value from 1"),
        (segment(0, "organ", 1, 4), "organ.*layer 4"),
        (segment(0, "organ", 1, 0, "red"), "organ.*broken header"),
        ({"Segmentation_SourceRepresentation": "Fractional labelmap"}, "fractional"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        read_label(slicer_file(tmp_path / "a.seg.nrrd", blocks()[0], fields))


def test_other_formats_hold_the_shown_array_of_a_layered_label(tmp_path, caplog):
    label = label_from_masks(blocks() == 1, [1, 2], RAS)
    write_label(label, tmp_path / "a.nii.gz")
    assert np.array_equal(read_label(tmp_path / "a.nii.gz").array, label.array)
    assert "overlapping" in caplog.text


def test_an_empty_label_can_be_written_and_read(tmp_path):
    write_label(LabelVolume(np.zeros((5, 6, 7), np.uint8), RAS, {1: "organ"}), tmp_path / "a.seg.nrrd")
    label = read_label(tmp_path / "a.seg.nrrd")
    assert label.values == () and label.names == {1: "organ"} and label.shape == (5, 6, 7)
