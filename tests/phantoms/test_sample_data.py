"""The phantoms: the same for the same seed, honest about left and right, scanned in awkward ways."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from sample_data import abdomen, head
from sample_data.make_phantoms import make_phantoms, make_study

ANATOMIES = pytest.mark.parametrize("anatomy", [abdomen, head], ids=["ct", "mr"])


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> list[Path]:
    return make_phantoms(tmp_path_factory.mktemp("phantoms"), seed=3)


def labels_of(folder: Path) -> list[nib.Nifti1Image]:
    return [nib.load(path) for path in sorted((folder / "labelsTr").iterdir())]


def centroid_mm(label: nib.Nifti1Image, value: int) -> np.ndarray:
    voxels = np.argwhere(np.asarray(label.dataobj) == value)
    return nib.affines.apply_affine(label.affine, voxels.mean(axis=0))


@ANATOMIES
def test_a_seed_gives_the_same_bytes_and_another_seed_another_person(anatomy):
    first, again, other = (make_study(anatomy, seed, 1) for seed in (5, 5, 6))
    for part in (0, 1):
        assert np.asarray(first[part].dataobj).tobytes() == np.asarray(again[part].dataobj).tobytes()
        assert not np.array_equal(first[part].dataobj, other[part].dataobj)
    assert np.array_equal(first[0].affine, again[0].affine)


def test_every_study_holds_every_label_that_the_description_names_and_no_other(sets):
    for folder in sets:
        named = set(json.loads((folder / "dataset.json").read_text())["labels"].values())
        for label in labels_of(folder):
            values, counts = np.unique(label.dataobj, return_counts=True)
            assert set(values.tolist()) == named, label.get_filename()
            assert counts.min() >= 200, label.get_filename()


def test_the_patients_right_lies_at_larger_x_than_the_left(sets):
    pairs = 0
    for folder in sets:
        values = json.loads((folder / "dataset.json").read_text())["labels"]
        for name in (name for name in values if name.endswith("_right")):
            for label in labels_of(folder):
                right = centroid_mm(label, values[name])
                left = centroid_mm(label, values[name.replace("_right", "_left")])
                assert right[0] > left[0] + 10, f"{label.get_filename()}: {name}"
                pairs += 1
    assert pairs == 6 * 3


def test_image_and_label_of_a_study_share_their_grid(sets):
    for folder in sets:
        for label in labels_of(folder):
            name = Path(label.get_filename()).name.replace(".nii.gz", "_0000.nii.gz")
            image = nib.load(folder / "imagesTr" / name)
            assert image.shape == label.shape
            assert np.array_equal(image.affine, label.affine)


def test_each_set_has_permuted_flipped_oblique_and_thick_sliced_scans(sets):
    for folder in sets:
        affines = [label.affine for label in labels_of(folder)]
        codes = ["".join(nib.aff2axcodes(affine)) for affine in affines]
        spacings = np.array([nib.affines.voxel_sizes(affine) for affine in affines])
        assert "RAS" in codes
        assert any(code[0] not in "RL" for code in codes), "no scan with its axes in another order"
        assert any(set(code) & set("LPI") for code in codes), "no scan with an axis reversed"
        assert sum(nib.affines.obliquity(affine).max() > np.deg2rad(4) for affine in affines) >= 2
        assert (spacings.max(axis=1) / spacings.min(axis=1)).max() > 1.5


def test_a_study_fits_few_windows(sets):
    for folder in sets:
        for label in labels_of(folder):
            assert min(label.shape) >= 40 and max(label.shape) <= 100


@pytest.mark.parametrize("number", range(3))
def test_tissues_of_a_ct_phantom_have_their_hounsfield_units(number):
    image, label = (np.asarray(part.dataobj) for part in make_study(abdomen, 0, number))
    mean = {name: image[label == value].mean() for name, value in abdomen.LABELS.items()}
    assert image.min() < -900
    assert 70 < mean["liver"] < 130
    assert abs(mean["bladder"] - abdomen.WATER) < 12
    assert mean["spine"] > mean["liver"] > mean["bladder"]
