"""Labels that people submit, decided from their headers: what would unpack to too much is not unpacked."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.submissions.check import check_label
from apps.iris_app.submissions.remarks import remarks_on
from apps.iris_app.submissions.voxel_stream import MOST_VALUES
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_label, write_label
from tests.solids import solids


def image(tmp_path: Path, edge: int = 6) -> Path:
    nib.save(nib.Nifti1Image(np.zeros((edge,) * 3, np.float32), np.eye(4)), tmp_path / "image.nii.gz")
    return tmp_path / "image.nii.gz"


def segments(tmp_path: Path, layers: int, fields: list[str], edge: int = 6, voxels: bytes = b"") -> Path:
    """A .seg.nrrd of some layers; without `voxels`, its header promises what is not there."""
    lines = [
        "NRRD0004", "type: uchar", "dimension: 4", "space: right-anterior-superior",
        f"sizes: {layers} {edge} {edge} {edge}", "space directions: none (1,0,0) (0,1,0) (0,0,1)",
        "kinds: list domain domain domain", "encoding: gzip", "space origin: (0,0,0)", *fields,
    ]  # fmt: skip
    path = tmp_path / "label.seg.nrrd"
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + gzip.compress(voxels))
    return path


def named(count: int, layers: int | None = None) -> list[str]:
    """Segments with a layer each; all in the first `layers`, where those are fewer; None: an old file."""
    fields = [f"Segment{n}_Name:=s{n}" for n in range(count)]
    return fields + [f"Segment{n}_Layer:={min(n, layers - 1)}" for n in range(count) if layers]


@pytest.mark.parametrize("fields", [[], named(1, 1), named(2, 2), named(2)])
def test_more_layers_than_segments_are_refused(tmp_path, fields):
    with pytest.raises(InputError, match="more layers than segments"):
        check_label(segments(tmp_path, 3, fields), image(tmp_path))


@pytest.mark.parametrize("fields", [named(3, 3), named(4, 2), named(3)])
def test_segments_that_overlap_are_accepted_with_a_layer_each(tmp_path, fields):
    file = segments(tmp_path, 3, fields, voxels=b"\1" * (3 * 6**3))
    assert check_label(file, image(tmp_path)).values == (1,)


def test_a_crop_with_an_emptied_layer_is_laid_into_a_file_that_is_accepted_again(tmp_path):
    """What the history keeps has to pass the same check when it is restored."""
    layers = np.zeros((3, 4, 4, 4), np.uint8)
    layers[1] = 1
    label = LabelVolume(layers[1], np.eye(4), {1: "a"}, layers=tuple(layers))
    write_label(label, tmp_path / "a.seg.nrrd")
    checked = check_label(tmp_path / "a.seg.nrrd", image(tmp_path))
    assert read_label(checked.file).shape == (6, 6, 6)
    assert check_label(checked.file, image(tmp_path)).values == (1,)


def test_a_label_that_unpacks_to_far_more_than_its_image_is_refused_unread(tmp_path):
    file = segments(tmp_path, 200, named(200, 200), edge=70)
    with pytest.raises(InputError, match="unpacks to far more"):
        check_label(file, image(tmp_path, 70))


def test_values_are_counted_over_all_blocks(tmp_path):
    """Few values in many blocks are a label; more than the limit, however they lie, are an image."""
    grid = (128, 128, 128)
    nib.save(nib.Nifti1Image(np.zeros(grid, np.float32), np.eye(4)), tmp_path / "image.nii.gz")
    for most in (MOST_VALUES, MOST_VALUES + 1):
        array = (np.arange(128**3, dtype=np.int32) % (most + 1)).reshape(grid, order="F")
        array[array == most] = 70000
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "label.nii.gz")
        if most == MOST_VALUES:
            checked = check_label(tmp_path / "label.nii.gz", tmp_path / "image.nii.gz")
            assert checked.values == (*range(1, most), 70000)
        else:
            with pytest.raises(InputError, match="too many different values"):
                check_label(tmp_path / "label.nii.gz", tmp_path / "image.nii.gz")


@pytest.mark.parametrize("unit", ["m", "um", "in"])
@pytest.mark.parametrize("kind", [".nrrd", ".seg.nrrd", ".mha"])
def test_a_label_in_another_unit_is_refused_as_the_reader_refuses_it(tmp_path, kind, unit):
    label = LabelVolume(np.ones((6, 6, 6), np.uint8), np.eye(4))
    write_label(label, path := tmp_path / f"label{kind}")
    field = f'space units: "{unit}" "{unit}" "{unit}"\n' if kind != ".mha" else f"DistanceUnits = {unit}\n"
    before = b"ElementDataFile" if kind == ".mha" else b"encoding:"
    path.write_bytes(path.read_bytes().replace(before, field.encode() + before, 1))
    for read in (read_label, lambda file: check_label(file, image(tmp_path))):
        with pytest.raises(InputError, match=f"another unit than mm; expected .* mm; found {unit}"):
            read(path)


def test_a_suffix_in_capitals_is_accepted(tmp_path):
    write_label(LabelVolume(np.ones((6, 6, 6), np.uint8), np.eye(4)), tmp_path / "label.mha")
    (tmp_path / "label.mha").rename(tmp_path / "label.MHA")
    assert check_label(tmp_path / "label.MHA", image(tmp_path)).values == (1,)


@pytest.mark.parametrize(
    ("at", "form", "numbers", "fault"),
    [
        (76, "<f", (-7.0,), ""),
        (76, "<f", (0.0,), ""),
        (256, "<3f", (5.0, 5.0, 5.0), "does not place the voxels"),
        (256, "<3f", (float("nan"),) * 3, "does not place the voxels"),
    ],
)
def test_a_qform_with_odd_numbers_is_taken_or_refused_as_the_reader_does(tmp_path, at, form, numbers, fault):
    nib.save(nib.Nifti1Image(np.ones((6, 6, 6), np.uint8), np.eye(4)), tmp_path / "label.nii")
    data = bytearray((tmp_path / "label.nii").read_bytes())
    struct.pack_into("<2h", data, 252, 1, 0)
    struct.pack_into(form, data, at, *numbers)
    (tmp_path / "label.nii").write_bytes(data)
    if fault:
        for read in (read_label, lambda path: check_label(path, image(tmp_path))):
            with pytest.raises(InputError):
                read(tmp_path / "label.nii")
        return
    assert (
        check_label(tmp_path / "label.nii", image(tmp_path)).values
        == read_label(tmp_path / "label.nii").values
    )


def test_the_sender_of_a_label_hears_what_its_reader_remarks_and_of_slices_that_nobody_drew_on(tmp_path):
    _, label = solids()
    kept = np.arange(label.shape[2]) % 5 == 0
    nib.save(nib.Nifti1Image((label.array * kept * 0.997).astype(np.float32), None), tmp_path / "label.nii")
    said = remarks_on(tmp_path / "label.nii")
    parts = ("neither sform nor qform", "were rounded", "drawn in single slices")
    assert len(said) == 3 and all(part in str(said) for part in parts)
    assert all(line.startswith("the label: ") and "\n" not in line for line in said)
    write_label(label, tmp_path / "whole.nii.gz")
    assert remarks_on(tmp_path / "whole.nii.gz") == []
