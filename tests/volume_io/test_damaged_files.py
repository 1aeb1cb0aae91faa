"""Files whose bytes and header do not go together: refused in a sentence, before memory is taken for them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.remarks import listening
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_image, read_label, write_label

ARRAY = np.random.default_rng(0).integers(0, 900, (12, 14, 10)).astype(np.int16)
TURN = np.linalg.qr(np.array([[-2, 0.1, 0], [0.1, 1.5, 0.2], [0, -0.2, 3]]))[0]
AFFINE = np.eye(4)
AFFINE[:3, :3], AFFINE[:3, 3] = TURN * [2, 1.5, 3], [30, -20, 10]
DIM, DATATYPE_AT, QFAC_AT, OFFSET_AT, CODES_AT, QUATERNION_AT = 40, 70, 76, 108, 252, 256


def nifti(folder: Path, *changes: tuple[int, str, tuple]) -> Path:
    """A NIfTI file with other numbers in its header: the byte, struct's format, the numbers."""
    nib.save(nib.Nifti1Image(ARRAY, AFFINE), folder / "a.nii")
    data = bytearray((folder / "a.nii").read_bytes())
    for at, form, numbers in changes:
        struct.pack_into(f"<{form}", data, at, *numbers)
    (folder / "a.nii").write_bytes(data)
    return folder / "a.nii"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((DIM, "8h", (3, 12, 0, 10, 1, 1, 1, 1)), "no voxels"),
        ((DIM, "8h", (3, 12, -14, 10, 1, 1, 1, 1)), "no voxels"),
        ((DIM, "8h", (3, 30000, 30000, 30000, 1, 1, 1, 1)), "54000000000000 bytes, in a file of 3712"),
        ((OFFSET_AT, "f", (0.0,)), "inside the header"),
        ((OFFSET_AT, "f", (1e9,)), "damaged"),
    ],
)
@pytest.mark.parametrize("read", [read_image, read_label])
@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_promises_what_the_file_has_not_is_refused(tmp_path, change, said, read, packed):
    path = nifti(tmp_path, change)
    if packed:
        said = said.replace("3712", "")
        (tmp_path / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = tmp_path / "a.nii.gz"
    with pytest.raises(InputError, match=f"cannot be read as NIfTI.*{said}.*copy or convert") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mgz"])
def test_bytes_that_changed_after_they_were_packed_are_refused(tmp_path, name):
    kind = nib.MGHImage if name.endswith("mgz") else nib.Nifti1Image
    nib.save(kind(ARRAY, AFFINE), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for tail in (b"", b"\0" * 512):  # some tapes and archives fill up with zeros
        (tmp_path / name).write_bytes(whole + tail)
        assert np.array_equal(read_image(tmp_path / name).array, ARRAY)
    damaged = bytearray(whole)
    damaged[-8] ^= 1
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(InputError, match="changed since they were packed"):
        read_image(tmp_path / name)


def test_a_qform_that_is_no_rotation_is_refused_in_words_and_does_not_matter_beside_an_sform(tmp_path):
    numbers = (QUATERNION_AT, "3f", (5.0, 5.0, 5.0))
    with pytest.raises(InputError, match="no rotation, and no sform"):
        read_image(nifti(tmp_path, numbers, (CODES_AT, "2h", (1, 0))))
    assert np.allclose(
        read_image(nifti(tmp_path, numbers, (CODES_AT, "2h", (1, 1)))).affine, AFFINE, atol=1e-4
    )


def test_a_sign_of_the_qform_that_readers_take_differently_is_said_and_the_result_lies_on_the_query(tmp_path):
    path = nifti(tmp_path, (QFAC_AT, "f", (-7.0,)), (CODES_AT, "2h", (1, 0)))
    with listening() as heard:
        image = read_image(path)
    assert any("the sign in pixdim" in one.text for one in heard)
    write_label(
        LabelVolume(np.ones(image.shape, np.uint8), image.affine, placement=image.placement),
        tmp_path / "r.nii",
    )
    stored = (
        path.read_bytes()[QFAC_AT : QFAC_AT + 4],
        (tmp_path / "r.nii").read_bytes()[QFAC_AT : QFAC_AT + 4],
    )
    assert stored[0] == stored[1]


@pytest.mark.parametrize(
    "field", ["ElementToIntensityFunctionSlope = 2", "ElementToIntensityFunctionOffset = -1024"]
)
def test_a_scale_that_itk_passes_over_is_said(tmp_path, field):
    lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "TransformMatrix = 1 0 0 0 1 0 0 0 1"]
    lines += [
        "Offset = 0 0 0",
        "ElementSpacing = 2 1.5 3",
        field,
        "DimSize = 12 14 10",
        "ElementType = MET_SHORT",
    ]
    header = "\n".join([*lines, "ElementDataFile = LOCAL\n"]).encode()
    (tmp_path / "a.mha").write_bytes(header + ARRAY.tobytes("F"))
    with listening() as heard:
        assert np.array_equal(read_image(tmp_path / "a.mha").array, ARRAY)
    assert [one.text for one in heard if "passes over" in one.text and field.split(" =")[0] in one.text]
