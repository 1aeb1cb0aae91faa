"""The studies folder as the installed MONAI Label writes it, read by `iris graduate`."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.errors import InputError
from nnunet_trainers.graduation.studies import final_studies

pytestmark = [pytest.mark.hosts, pytest.mark.monailabel]
SHAPE = (6, 5, 4)


def save(path: Path, value: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros(SHAPE, np.uint8)
    array[1:4, 1:3, 1:3] = value
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


@pytest.fixture
def store(tmp_path):
    """A datastore with three studies, kept by MONAI Label itself."""
    from monailabel.datastore.local import LocalDatastore

    for name in ("a", "b", "c"):
        save(tmp_path / "studies" / f"{name}.nii.gz", 9)
    patterns = ("*.nii.gz", "*.nii", "*.nrrd")
    return LocalDatastore(str(tmp_path / "studies"), extensions=patterns, auto_reload=False)


def test_labels_saved_through_the_datastore_come_with_their_names(store, tmp_path):
    liver = {"label_info": [{"name": "liver", "idx": 3}, {"name": "spleen", "idx": 4}]}
    store.save_label("a", str(save(tmp_path / "out" / "x.nii.gz", 3)), "final", liver)
    store.save_label("b", str(save(tmp_path / "out" / "y.nii.gz", 1)), "original", {"label_info": []})
    (study,) = final_studies(tmp_path / "studies")
    assert study.name == "a" and study.names == {3: "liver", 4: "spleen"}
    assert str(study.image) == store.get_image_uri("a")
    assert str(study.label) == store.get_label_uri("a", "final")


def test_a_dropped_label_is_final_and_has_no_name(store, tmp_path):
    save(tmp_path / "studies" / "labels" / "final" / "b.nii.gz", 1)
    store.refresh()
    assert store.get_label_info("b", "final").get("label_info") is None
    with pytest.raises(InputError, match=r"without names.*b.nii.gz.*--labels"):
        final_studies(tmp_path / "studies")
    (study,) = final_studies(tmp_path / "studies", {1: "liver"})
    assert study.names == {1: "liver"}
