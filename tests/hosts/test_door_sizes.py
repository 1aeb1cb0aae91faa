"""An image that a viewer adds is bounded by the bytes that it takes unpacked, before its voxels are read."""

from __future__ import annotations

import nibabel as nib
import pytest

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]

NRRD = "NRRD0004\ntype: {type}\ndimension: 3\nsizes: 640 640 700\nencoding: raw\nendian: little\n\n"


@pytest.mark.parametrize("suffix", [".nii", ".nrrd"])
@pytest.mark.parametrize(
    ("words", "said"), [(("double", "float64"), "bytes unpacked"), (("short", "int16"), "")]
)
def test_an_image_may_take_so_many_bytes_and_no_more(tmp_path, monkeypatch, suffix, words, said):
    from fastapi import HTTPException

    from apps.iris_app.routes import upload

    read = []
    monkeypatch.setattr(upload, "read_image", read.append)
    path = tmp_path / f"x{suffix}"
    header = nib.Nifti1Header()
    header.set_data_shape((640, 640, 700))
    header.set_data_dtype(words[1])
    path.write_bytes(
        header.binaryblock + bytes(100) if suffix == ".nii" else NRRD.format(type=words[0]).encode()
    )
    if said:
        with pytest.raises(HTTPException) as refused:
            upload._require_image(path)
        assert refused.value.status_code == 422 and said in refused.value.detail and read == []
    else:
        upload._require_image(path)
        assert read == [path]
