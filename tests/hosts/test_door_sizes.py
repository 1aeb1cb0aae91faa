"""An image that a viewer adds is bounded by the bytes that it takes unpacked, as its header says them."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from apps.iris_app.submissions import image_check
from apps.iris_app.submissions.image_check import check_image
from iris_core.errors import InputError
from tests.hosts.attacks import files_that_lie

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

NRRD = "NRRD0004\ntype: {type}\ndimension: 3\nsizes: 640 640 700\nencoding: raw\nendian: little\n\n"


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
@pytest.mark.parametrize(
    ("words", "said"), [(("double", "float64"), "bytes unpacked"), (("short", "int16"), "")]
)
def test_an_image_may_take_so_many_bytes_and_no_more(tmp_path, monkeypatch, suffix, words, said):
    read = []
    monkeypatch.setattr(image_check, "require_length", lambda header: None)
    monkeypatch.setattr(image_check, "read_image", read.append)
    path = tmp_path / f"x{suffix}"
    header = nib.Nifti1Header()
    header.set_data_shape((640, 640, 700))
    header.set_data_dtype(words[1])
    header["vox_offset"] = 352
    path.write_bytes(
        header.binaryblock + bytes(100) if suffix == ".nii" else NRRD.format(type=words[0]).encode()
    )
    if said:
        with pytest.raises(InputError, match=said):
            check_image(path)
        assert read == []
    else:
        check_image(path)
        assert read == [path]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "x.nii.gz"
    array = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0])), path)
    return path


def test_a_file_that_unpacks_to_more_or_less_than_it_says_is_no_image(image, tmp_path, monkeypatch):
    """It is refused before any library reads its voxels, and its stream is read no further than it says."""
    unpacked = []
    blocks = image_check.require_length.__globals__["_blocks"]

    def counted(header):
        for block in blocks(header):
            unpacked.append(len(block))
            yield block

    monkeypatch.setitem(image_check.require_length.__globals__, "_blocks", counted)
    monkeypatch.setattr(image_check, "read_image", lambda path: pytest.fail(f"{path} is read"))
    for name, content in files_that_lie(image.read_bytes()).items():
        path = tmp_path / name
        path.write_bytes(content)
        unpacked.clear()
        with pytest.raises(InputError):
            check_image(path)
        assert sum(unpacked) <= 4 << 20, name


def test_images_of_all_kinds_that_say_the_truth_are_taken(image, tmp_path):
    import SimpleITK as sitk

    check_image(image)
    (tmp_path / "x.nii").write_bytes(gzip.decompress(image.read_bytes()))
    read = sitk.ReadImage(str(image))
    for name, packed in (("raw.nrrd", False), ("packed.nrrd", True), ("x.nii", False)):
        if name.endswith(".nrrd"):
            sitk.WriteImage(read, str(tmp_path / name), useCompression=packed)
        check_image(tmp_path / name)
    for kind in (np.int16, np.uint8, np.float64):
        array = (np.arange(8000).reshape(20, 20, 20) % 250).astype(kind)
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "kind.nii.gz")
        check_image(tmp_path / "kind.nii.gz")
