"""The host's own folder datastore: which of its images are studies."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import write_label
from tests import tiny

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]


def test_hidden_files_and_results_among_the_images_are_no_studies(tmp_path, caplog):
    from monailabel.datastore.local import LocalDatastore

    from apps.iris_app.datastores.datastore_view import studies_of

    image, label = tiny.study(0)
    nib.save(nib.Nifti1Image(image.array, image.affine), tmp_path / "case_1.nii.gz")
    (tmp_path / "._case_1.nii.gz").write_bytes(b"what macOS leaves behind")
    write_label(LabelVolume(label.array, label.affine, {1: "bright"}), tmp_path / "result.nii.gz")
    write_label(LabelVolume(np.minimum(label.array, 1), label.affine), tmp_path / "drawn.nrrd")

    store = LocalDatastore(str(tmp_path), extensions=["*.nii.gz", "*.nrrd"], auto_reload=False)

    assert [study.id for study in studies_of(store)] == ["case_1"]
    assert "result.nii.gz is a segmentation that Iris wrote" in caplog.text
