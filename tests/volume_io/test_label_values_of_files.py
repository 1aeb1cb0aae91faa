"""Laws of label files: values that mean whole numbers are read; images, shares and pictures are refused."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.remarks import listening
from iris_core.volume.even_values import few_even_values, roughness
from iris_core.volume_io import read_label

SHAPE = (12, 14, 10)


def boxes(first: int = 1, second: int = 3) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[2:6, 3:9, 2:8], array[7:11, 4:10, 3:7] = first, second
    return array


def drawn() -> np.random.Generator:
    return np.random.default_rng(0)


def save(path: Path, array: np.ndarray) -> Path:
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 3.0, 1.0])), path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_label(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("noise", [1e-7, 0.0001, 0.01])
def test_values_near_whole_numbers_are_rounded(tmp_path, noise, caplog):
    array = boxes() * np.float32(1 - noise / 3)
    assert np.array_equal(read_label(save(tmp_path / "a.nii.gz", array)).array, boxes())
    assert ("rounded" in caplog.text) == (noise > 1e-3)


@pytest.mark.parametrize("slope", [0.00392, 1 / 255, 0.5])
def test_values_under_a_scaled_header_are_what_the_scale_makes_of_them(tmp_path, slope):
    stored = np.where(boxes() == 3, 0, boxes()) * round(1 / slope)
    image = nib.Nifti1Image(stored.astype(np.uint8), np.eye(4))
    image.header.set_slope_inter(slope, 0)
    nib.save(image, tmp_path / "a.nii.gz")
    label = read_label(tmp_path / "a.nii.gz")
    assert label.values == (1,) and np.array_equal(label.array > 0, boxes() == 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint32, np.int16])
def test_every_type_of_number_gives_the_same_label(tmp_path, dtype):
    path = tmp_path / "a.nii"
    nib.Nifti1Image(boxes().astype(dtype), np.eye(4), dtype=dtype).to_filename(path)
    assert np.array_equal(read_label(path).array, boxes())


def test_a_probability_map_is_refused_as_one_with_a_command_that_makes_a_label(tmp_path):
    shares = np.clip(boxes() / 3 + drawn().uniform(-0.1, 0.1, SHAPE), 0, 1)
    path = save(tmp_path / "a.nii.gz", shares.astype(np.float32))
    said = refusal(path)
    assert "a.nii.gz: is a probability map" in said and "expected whole numbers" in said
    assert np.array_equal(read_label(remedied(said, tmp_path)).array, shares > 0.5)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("kind", ["one-hot label", "probability map"])
def test_a_channel_for_each_class_is_refused_with_a_command_that_makes_a_label(tmp_path, axis, kind):
    values = np.where(boxes() == 3, 2, boxes())
    shares = np.moveaxis(np.eye(3)[values], -1, axis)
    if kind == "probability map":
        shares = 0.8 * shares + 0.2 / 3
    said = refusal(save(tmp_path / "a.nii.gz", shares.astype(np.float32)))
    assert f"is a {kind} with a channel for each class" in said and "found 3 channels" in said
    if axis == -1:
        assert np.array_equal(read_label(remedied(said, tmp_path)).array, values)
    else:
        remedied(said, tmp_path)
        assert np.array_equal(np.asarray(nib.load(tmp_path / "label.nii.gz").dataobj), values)


def test_one_hot_channels_without_a_background_get_values_from_1(tmp_path):
    shares = np.stack([boxes() == 1, boxes() == 3], axis=-1).astype(np.uint8)
    said = refusal(save(tmp_path / "a.nii.gz", shares))
    assert np.array_equal(read_label(remedied(said, tmp_path)).array, np.where(boxes() == 3, 2, boxes()))


def remedied(said: str, folder: Path) -> Path:
    """Runs the command of a refusal; gives the label that it makes."""
    (command,) = re.findall(r"python -c .*$", said)
    subprocess.run([sys.executable, *shlex.split(command)[1:]], cwd=folder, check=True)
    return folder / "label.nii.gz"


def test_a_series_of_labels_is_refused_with_a_command_that_takes_one(tmp_path):
    said = refusal(save(tmp_path / "a.nii.gz", np.stack([boxes(), boxes(2, 5)], axis=-1)))
    assert "has 2 volumes" in said
    assert np.array_equal(read_label(remedied(said, tmp_path)).array, boxes())


def test_a_picture_in_colour_is_refused_as_one(tmp_path):
    array = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    array["G"] = boxes() * 60
    said = refusal(save(tmp_path / "a.nii.gz", array))
    assert "is a colour picture" in said and "channel option" not in said


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (drawn().normal(500, 100, SHAPE).astype(np.float32), "is this the image?"),
        (drawn().normal(0, 300, SHAPE).astype(np.int16), "is this the image?"),
        (drawn().integers(0, 600, SHAPE).astype(np.int16), "different values: is this the image?"),
        (drawn().integers(0, 255, SHAPE).astype(np.uint8), "different values: is this the image?"),
        (np.where(boxes() == 3, np.nan, boxes()).astype(np.float32), "NaN"),
        (np.where(boxes() == 3, -1, boxes().astype(np.int16)), "found -1 to 1"),
        (np.where(boxes() == 3, 0.5, boxes() * 2).astype(np.float32), "found 0.5"),
    ],
    ids=["float image", "CT", "600 values", "uint8 image", "nan", "negative", "half"],
)
def test_what_is_no_label_map_is_refused_by_what_it_is(tmp_path, array, words):
    assert words in refusal(save(tmp_path / "a.nii.gz", array))


def test_many_even_structures_are_no_image(tmp_path):
    """Numbered regions, more than an image of few values has."""
    blocks = np.arange(1, 151).reshape(5, 5, 6).repeat(6, 0).repeat(6, 1).repeat(5, 2)
    label = read_label(save(tmp_path / "a.nii.gz", blocks.astype(np.int16)))
    assert len(label.values) == 150


def test_a_label_without_background_is_said(tmp_path):
    for shift in (0, 1):
        with listening() as heard:
            read_label(save(tmp_path / f"{shift}.nii.gz", boxes().astype(np.int16) + shift))
        assert [one.text for one in heard if "nothing is background" in one.text] == [
            "has no voxel of value 0, so nothing is background; the smallest is 1"
        ] * shift


def test_large_values_stay_what_they_are(tmp_path):
    array = boxes().astype(np.int32) * 1_000_000
    assert read_label(save(tmp_path / "a.nii.gz", array)).values == (1_000_000, 3_000_000)


def test_freesurfers_volumes_are_read(tmp_path):
    affine = np.array([[-1, 0, 0, 5], [0, 0, 1, -3], [0, -1, 0, 7], [0, 0, 0, 1]], float)
    nib.save(nib.MGHImage(boxes().astype(np.int32), affine), tmp_path / "aseg.mgz")
    label = read_label(tmp_path / "aseg.mgz")
    assert np.array_equal(label.array, boxes()) and np.allclose(label.affine, affine)


@pytest.mark.parametrize("suffix", [".Nii", ".NII", ".nii.GZ", ".Nii.gz", ".MGZ", ".MHA", ".Nrrd"])
def test_exactly_the_named_file_is_read_and_written(tmp_path, suffix):
    """A suffix in other letters is another file where the file system says so."""
    from iris_core.volume_io import write_label
    from iris_core.volume_io.suffix import WRITABLE

    other, path = tmp_path / f"d{suffix.lower()}", tmp_path / f"d{suffix}"
    lower = tmp_path / f"source{suffix.lower()}"
    if suffix == ".MGZ":
        nib.save(nib.MGHImage(boxes().astype(np.int32), np.eye(4)), lower)
        nib.save(nib.MGHImage(boxes(7, 8).astype(np.int32), np.eye(4)), other)
    else:
        write_label(label_of(boxes()), lower)
        write_label(label_of(boxes(7, 8)), other)
    lower.rename(path)
    if len(list(tmp_path.iterdir())) < 2:
        pytest.skip("this file system does not tell upper from lower case")
    assert np.array_equal(read_label(path).array, boxes())
    if suffix.lower() in WRITABLE:
        write_label(label_of(boxes(4, 5)), path)
        assert read_label(path).values == (4, 5) and read_label(other).values == (7, 8)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([path.name, other.name])


def label_of(array: np.ndarray):
    from iris_core.volume.volume import LabelVolume

    return LabelVolume(array, np.eye(4))


def blob() -> np.ndarray:
    """A probability map that rises smoothly from 0 to 1."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in (30, 32, 28)), indexing="ij")
    distance = np.sqrt(sum(axis**2 for axis in axes))
    return 1 / (1 + np.exp((distance - 0.5) * 20))


@pytest.mark.parametrize("top", [100, 255, 1000])
@pytest.mark.parametrize("slope", [1, 3])
def test_a_probability_map_in_whole_numbers_is_refused_with_a_command_that_makes_a_label(
    tmp_path, top, slope
):
    shares = np.rint(np.clip((blob() - 0.5) * slope + 0.5, 0, 1) * top).astype(np.int16)
    said = refusal(save(tmp_path / "a.nii.gz", shares))
    assert "is a probability map" in said and f"shares of {top}" in said
    assert np.array_equal(read_label(remedied(said, tmp_path)).array, shares > top / 2)


def test_an_image_of_few_grey_levels_is_refused(tmp_path):
    levels = np.rint(blob() * 50 + drawn().uniform(0, 10, blob().shape)).astype(np.uint8)
    assert "is this the image?" in refusal(save(tmp_path / "a.nii.gz", levels))


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("width", "levels"), [(2, 26), (3, 40), (4, 60), (8, 60), (8, 120)])
def test_a_smooth_image_of_few_grey_levels_is_refused(tmp_path, width, levels, masked, stride):
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(drawn().normal(size=(48, 48, 40)), width)
    array = np.rint((smooth - smooth.min()) / np.ptp(smooth) * (levels - 1)).astype(np.int16) * stride
    if masked:
        array = np.where(np.linalg.norm(np.indices(array.shape) - 22, axis=0) < 20, array + stride, 0)
    assert "is this the image?" in refusal(save(tmp_path / "a.nii.gz", array.astype(np.int16)))


@pytest.mark.parametrize("stride", [1, 8])
def test_a_very_smooth_image_does_not_look_like_a_label_map(stride):
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(drawn().normal(size=(48, 48, 40)), 9)
    image = np.rint((smooth - smooth.min()) / np.ptp(smooth) * 30) * stride
    assert roughness(image) < 0.35 and few_even_values(image) is None
    assert few_even_values(np.where(np.indices(image.shape)[0] < 20, 8, 0)) == [0, 8]


@pytest.mark.parametrize("name", ["vertebrae", "parts of a tract", "rings", "superpixels"])
def test_structures_that_are_numbered_along_a_chain_are_labels(tmp_path, name):
    i, j, k = np.indices((40, 40, 96))
    aside = np.hypot(i - 20, j - 20)
    array = {
        "vertebrae": np.where(aside < 12, 1 + k // 4, 0),
        "parts of a tract": np.where(np.hypot(i - 20 - 6 * np.sin(k / 9), j - 20) < 4, 1 + k // 2, 0),
        "rings": np.where(
            (aside < 18) & (aside > 12), 1 + ((np.arctan2(i - 20, j - 20) + 4) * 4).astype(int), 0
        ),
        "superpixels": 1 + (i // 5) * 64 + (j // 5) * 8 + k // 12,
    }[name]
    assert len(read_label(save(tmp_path / "a.nii.gz", array.astype(np.int16))).values) > 16


@pytest.mark.parametrize("top", [85, 100, 117, 255, 2035])
def test_parcellations_and_landmarks_are_labels(tmp_path, top):
    """Regions around random centres, under numbers up to `top`; and single voxels."""
    from scipy.spatial import cKDTree

    random, shape = np.random.default_rng(top), (32, 32, 30)
    values = np.append(random.choice(np.arange(1, top), min(top, 100) - 1, replace=False), top)
    voxels = np.argwhere(np.ones(shape, bool))
    nearest = cKDTree(random.uniform(0, 32, (len(values), 3))).query(voxels)[1]
    regions = np.where(blob_shell(shape), values[nearest].reshape(shape), 0)
    landmarks = np.zeros(shape, np.int16)
    spots = np.argwhere(np.indices(shape).sum(0) % 7 == 0)[:: 7 * 9][: len(values)]
    landmarks[tuple(spots[:40].T)] = values[:40]
    for array in (regions, landmarks):
        assert read_label(save(tmp_path / "a.nii.gz", array.astype(np.int16))).values


def blob_shell(shape: tuple[int, ...]) -> np.ndarray:
    """A ball's rind, three voxels thick, as thin as a cortex."""
    distance = np.sqrt(sum((axis - 15) ** 2 for axis in np.indices(shape)))
    return (distance < 14) & (distance > 10.5)


def test_a_probability_map_that_rounds_to_nothing_is_refused(tmp_path):
    said = refusal(save(tmp_path / "a.nii.gz", (boxes() > 0) * np.float32(0.015)))
    assert "is a probability map" in said and "nowhere above one half" in said


@pytest.mark.parametrize("background", [True, False])
def test_one_hot_channels_of_0_and_255_are_no_colour_picture(tmp_path, background):
    values = np.where(boxes() == 3, 2, boxes())
    channels = np.eye(4, dtype=np.uint8)[values][..., 0 if background else 1 :][..., :3] * 255
    said = refusal(save(tmp_path / "a.nii.gz", channels))
    assert "is a one-hot label with a channel for each class" in said
    assert np.array_equal(read_label(remedied(said, tmp_path)).array, values)


def test_a_segmentation_file_of_channels_without_segments_is_refused(tmp_path):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.stack([boxes(), boxes(2, 5)], -1), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    assert "a.seg.nrrd: has 2 volumes" in refusal(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize("code", [6, 9, -1])
def test_a_code_that_nifti_has_not_is_warned_of_once_with_the_files_name(tmp_path, code, caplog):
    path = save(tmp_path / "a.nii", boxes())
    data = bytearray(path.read_bytes())
    data[252:254] = int(code).to_bytes(2, "little", signed=True)
    path.write_bytes(data)
    for _ in range(2):
        read_label(path)
    assert caplog.text.count(f"a.nii: qform_code {code} is no code of NIfTI") == 1
    assert "not valid" not in caplog.text
