"""Laws of files: what was stored is read, what is written reads back, what cannot be used is refused."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume, label_from_masks
from iris_core.volume_io import atomic_path, read_image, read_label, write_label

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag(
    [-0.7, 1.3, 2.9]
)
OBLIQUE[:3, 3] = [-101.25, 22.125, 3.5]
FORMATS = [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"]


def numbers(shape=(7, 8, 9), seed=0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(np.int16)


def save_nifti(path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def save_itk(path: Path, array: np.ndarray, affine: np.ndarray = OBLIQUE) -> Path:
    """Written by hand in LPS, not through the code under test."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    lps = np.diag([-1, -1, 1, 1]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"])
def test_an_image_is_read_in_its_own_order_with_its_ras_affine(tmp_path, suffix):
    save = save_nifti if suffix.startswith(".nii") else save_itk
    volume = read_image(save(tmp_path / f"image{suffix}", numbers()))
    assert np.array_equal(volume.array, numbers()) and volume.array.dtype == np.float32
    assert np.allclose(volume.affine, OBLIQUE, atol=1e-5)
    assert volume.spacing == pytest.approx((0.7, 1.3, 2.9), abs=1e-5)


def test_a_header_that_places_nothing_is_warned_of(tmp_path, caplog):
    image = nib.Nifti1Image(numbers(), None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nib.save(image, tmp_path / "lost.nii.gz")
    read_image(save_nifti(tmp_path / "placed.nii.gz", numbers()))
    assert not caplog.records
    read_image(tmp_path / "lost.nii.gz")
    assert "lost.nii.gz: has neither sform nor qform" in caplog.text


def test_slope_and_intercept_are_applied(tmp_path):
    image = nib.Nifti1Image(numbers(), OBLIQUE)
    image.header.set_slope_inter(0.5, -1000)
    nib.save(image, tmp_path / "scaled.nii.gz")
    stored = nib.load(tmp_path / "scaled.nii.gz")
    assert float(stored.dataobj.slope) == 0.5
    assert np.array_equal(read_image(tmp_path / "scaled.nii.gz").array, 0.5 * numbers() - 1000)


def test_a_qform_alone_places_the_image(tmp_path):
    image = nib.Nifti1Image(numbers(), None)
    image.set_qform(OBLIQUE, 1)
    image.set_sform(None, 0)
    nib.save(image, tmp_path / "qform.nii")
    assert np.allclose(read_image(tmp_path / "qform.nii").affine, OBLIQUE, atol=1e-4)


def test_trailing_axes_of_length_one_are_no_obstacle(tmp_path):
    path = save_nifti(tmp_path / "four.nii.gz", numbers()[..., None, None])
    assert read_image(path).shape == (7, 8, 9)


def test_a_channel_is_taken_only_where_one_is_chosen(tmp_path):
    both = np.stack([numbers(seed=1), numbers(seed=2)], axis=-1)
    path = save_nifti(tmp_path / "channels.nii.gz", both)
    with pytest.raises(InputError, match=r"several channels.*channel option"):
        read_image(path)
    assert np.array_equal(read_image(path, channel=1).array, both[..., 1])
    with pytest.raises(InputError, match=r"no such channel.*0 to 1.*2"):
        read_image(path, channel=2)


def test_colour_is_refused_unless_a_channel_is_chosen(tmp_path):
    rgb = np.zeros((5, 6, 7), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"] = numbers((5, 6, 7)).astype(np.uint8)
    path = save_nifti(tmp_path / "colour.nii", rgb)
    with pytest.raises(InputError, match="several channels"):
        read_image(path)
    assert np.array_equal(read_image(path, channel=1).array, rgb["G"])


def test_the_file_of_a_channel_answers_to_that_channel(tmp_path):
    path = save_nifti(tmp_path / "case_0001.nii.gz", numbers())
    assert read_image(path, channel=1).shape == (7, 8, 9)
    with pytest.raises(InputError, match="no such channel"):
        read_image(path, channel=2)


def test_an_image_without_channels_needs_no_choice_among_them(tmp_path):
    path = save_nifti(tmp_path / "plain.nii.gz", numbers())
    assert read_image(path, channel=3).shape == (7, 8, 9)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.where(numbers() > 190, np.nan, numbers()), "NaN or infinite"),
        (np.where(numbers() > 190, np.inf, numbers()), "NaN or infinite"),
        (np.full((4, 5, 6), 3.0), "same value everywhere.*only 3"),
        (numbers()[:, :, 0], "2D image"),
        (numbers()[:, :, :1], "2D image"),
        (numbers().astype(np.complex64), "complex"),
    ],
    ids=["nan", "inf", "constant", "2D", "one slice", "complex"],
)
def test_an_image_without_usable_values_is_refused_with_its_path(tmp_path, array, message):
    path = save_nifti(tmp_path / "broken.nii.gz", array)
    with pytest.raises(InputError, match=f"broken.nii.gz.*{message}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("kept", [0, 200, 0.5, 0.99])
def test_a_file_cut_short_is_refused_in_one_line(tmp_path, suffix, kept):
    save = save_nifti if suffix.startswith(".nii") else save_itk
    array = np.random.default_rng(0).integers(-3000, 3000, (20, 21, 22)).astype(np.int16)
    path = save(tmp_path / f"cut{suffix}", array)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    for read in (read_image, read_label):
        with pytest.raises(InputError, match=f"cut{suffix}: cannot be read") as caught:
            read(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("linear", [np.zeros((3, 3)), np.diag([1, 1, 0]), np.ones((3, 3))])
def test_an_affine_without_an_inverse_is_refused(tmp_path, linear):
    affine = np.eye(4)
    affine[:3, :3] = linear
    image = nib.Nifti1Image(numbers(), np.eye(4))
    image.header.set_sform(affine, 1)
    image.header.set_qform(None, 0)
    with open(tmp_path / "flat.nii", "wb") as file:  # nibabel itself would repair the header
        image.header["vox_offset"] = 352
        image.header.write_to(file)
        file.write(bytes(4) + numbers().tobytes(order="F"))
    with pytest.raises(InputError, match=r"flat.nii.*affine.*inverse"):
        read_image(tmp_path / "flat.nii")


@pytest.mark.parametrize("name", ["missing.nii.gz", "notes.txt", "slice.dcm"])
def test_what_is_no_volume_is_refused_with_its_name(tmp_path, name):
    if not name.startswith("missing"):
        (tmp_path / name).write_text("hello")
    with pytest.raises(InputError, match=name):
        read_image(tmp_path / name)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, 3e9])
def test_a_label_that_is_not_made_of_whole_numbers_is_refused(tmp_path, value):
    array = numbers().astype(np.float64)
    array[3, 3, 3] = value
    with pytest.raises(InputError, match="label"):
        read_label(save_nifti(tmp_path / "label.nii.gz", array))


def test_a_float_label_of_whole_numbers_is_read(tmp_path):
    label = read_label(
        save_nifti(tmp_path / "label.nii", numbers().astype(np.float32)), labels={0: "none", 5: "vein"}
    )
    assert np.array_equal(label.array, numbers()) and label.array.dtype == np.uint8
    assert label.names == {5: "vein"}
    assert label.name_of(6) == "label_6"


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("largest", "dtype"), [(3, np.uint8), (300, np.uint16), (70_000, np.int32)])
def test_a_written_label_reads_back_with_its_grid_and_the_smallest_type(tmp_path, suffix, largest, dtype):
    array = np.where(numbers() > 150, largest, 0)
    path = tmp_path / "new folder" / f"label{suffix}"
    write_label(LabelVolume(array, OBLIQUE), path)
    label = read_label(path)
    assert np.array_equal(label.array, array) and label.array.dtype == dtype
    assert np.allclose(label.affine, OBLIQUE, atol=1e-5)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_label_on_a_nifti_image_keeps_its_affine_to_the_last_bit(tmp_path):
    image = read_image(save_nifti(tmp_path / "image.nii.gz", numbers()))
    write_label(LabelVolume(numbers() % 3, image.affine), tmp_path / "label.nii.gz")
    written = nib.load(tmp_path / "label.nii.gz")
    assert np.array_equal(written.affine, nib.load(tmp_path / "image.nii.gz").affine)
    assert int(written.header["sform_code"]) == 1 and int(written.header["qform_code"]) == 1
    assert written.header.get_xyzt_units()[0] == "mm"
    assert np.allclose(written.get_qform(), written.affine, atol=1e-4)


def test_a_sheared_grid_is_not_told_by_a_qform(tmp_path):
    sheared = OBLIQUE.copy()
    sheared[:3, 2] += 0.3 * sheared[:3, 0]
    write_label(LabelVolume(numbers(), sheared), tmp_path / "label.nii")
    written = nib.load(tmp_path / "label.nii")
    assert np.allclose(written.affine, sheared, atol=1e-5)
    assert int(written.header["qform_code"]) == 0


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "result.nii.gz"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as hidden:
        hidden.write_text("half")
        raise KeyboardInterrupt
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "old"


def test_a_folder_that_cannot_be_written_to_is_told_with_a_remedy(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"result.nii.gz.*cannot be written.*writable"):
        write_label(LabelVolume(numbers(), OBLIQUE), tmp_path / "file" / "result.nii.gz")

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "replace", refuse)  # root may write anywhere, so the system's refusal is played
    for suffix in FORMATS:
        with pytest.raises(InputError, match=r"cannot be written.*Read-only"):
            write_label(LabelVolume(numbers(), OBLIQUE), tmp_path / f"result{suffix}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_format_that_cannot_hold_a_label_is_refused(tmp_path):
    with pytest.raises(InputError, match="format"):
        write_label(LabelVolume(numbers(), OBLIQUE), tmp_path / "result.jpg")


def test_masks_that_overlap_come_back_from_as_few_layers_as_they_need():
    masks = np.zeros((3, 6, 7, 8), dtype=bool)
    masks[0, :4], masks[1, 2:5], masks[2, 5:] = True, True, True
    label = label_from_masks(masks, [4, 9, 2], OBLIQUE)
    assert len(label.layers) == 2
    assert np.array_equal(label.masks([4, 9, 2]), masks)
    assert label.values == (2, 4, 9)
    assert (label.array[2:4] == 9).all()  # the later one shows


def test_masks_that_do_not_overlap_need_no_layers():
    masks = np.zeros((2, 6, 7, 8), dtype=bool)
    masks[0, :3], masks[1, 3:] = True, True
    label = label_from_masks(masks, [1, 2], OBLIQUE)
    assert label.layers == ()
    assert np.array_equal(label.masks([2, 1, 7]), [masks[1], masks[0], np.zeros((6, 7, 8))])
