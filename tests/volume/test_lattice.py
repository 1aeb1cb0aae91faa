"""Laws of a label's fit to its image: whole voxels move, nothing is interpolated, the rest is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import case_name, list_cases, read_image, read_label

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag(
    [-0.7, 1.3, 2.9]
)
OBLIQUE[:3, 3] = [-101.25, 22.125, 3.5]


def image_and_label() -> tuple[Volume, LabelVolume]:
    array = np.random.default_rng(0).integers(0, 200, (7, 8, 9))
    label = LabelVolume((array > 150).astype(np.uint8), OBLIQUE)
    return Volume(array.astype(np.float32), OBLIQUE), label


def test_a_label_with_rounding_noise_in_its_affine_fits_its_image():
    image, label = image_and_label()
    noisy = LabelVolume(
        label.array, OBLIQUE + np.random.default_rng(0).normal(0, 1e-3, (4, 4)) * [[1], [1], [1], [0]]
    )
    fitted = fit_label(noisy, image)
    assert np.array_equal(fitted.array, label.array) and np.array_equal(fitted.affine, image.affine)


def test_a_label_in_another_axis_order_is_reordered_exactly():
    image, label = image_and_label()
    step = np.array([[0, 0, -1, 6], [1, 0, 0, 0], [0, -1, 0, 8], [0, 0, 0, 1.0]])  # its voxel -> the image's
    turned = LabelVolume(np.flip(label.array.transpose(1, 2, 0), (1, 2)), OBLIQUE @ step)
    assert not np.allclose(turned.affine, image.affine)
    assert np.array_equal(fit_label(turned, image).array, label.array)


@pytest.mark.parametrize(
    "change",
    [(2, 2, 1.1), (0, 3, 0.5), (0, 3, 2), (0, 1, 0.1)],
    ids=["other spacing", "half a voxel off", "two voxels off", "sheared"],
)
def test_a_label_on_another_grid_is_refused_with_both_grids(change):
    image, label = image_and_label()
    row, column, value = change
    step = np.eye(4)  # the label's voxel -> the image's
    step[row, column] = value
    with pytest.raises(InputError, match=r"grid.*shape 7x8x9 affine.*shape 7x8x9 affine.*resample"):
        fit_label(LabelVolume(label.array, OBLIQUE @ step), image)


def test_a_cropped_label_is_refused_unless_its_format_may_hold_a_part():
    image, label = image_and_label()
    shift = np.eye(4)
    shift[:3, 3] = [1, 2, 3]
    part = label.array[1:5, 2:7, 3:4]
    with pytest.raises(InputError, match=r"shape 7x8x9.*shape 4x5x1"):
        fit_label(LabelVolume(part, OBLIQUE @ shift), image)
    embedded = fit_label(LabelVolume(part, OBLIQUE @ shift, partial=True), image)
    expected = np.zeros_like(label.array)
    expected[1:5, 2:7, 3:4] = part
    assert np.array_equal(embedded.array, expected)


def test_a_part_may_reach_beyond_the_image_only_with_background():
    image, label = image_and_label()
    wide = np.pad(label.array, ((2, 0), (0, 3), (1, 1)))
    shift = np.eye(4)
    shift[:3, 3] = [-2, 0, -1]
    beyond = LabelVolume(wide, OBLIQUE @ shift, partial=True)
    assert np.array_equal(fit_label(beyond, image).array, label.array)
    wide[0, 0, 0] = 1
    with pytest.raises(InputError, match="grid"):
        fit_label(LabelVolume(wide, OBLIQUE @ shift, partial=True), image)


def test_layers_move_with_their_array():
    image, label = image_and_label()
    layers = (label.array, np.roll(label.array, 1, axis=0) * 2)
    step = np.diag([-1.0, 1, 1, 1])
    step[0, 3] = 6
    turned = LabelVolume(label.array[::-1], OBLIQUE @ step, layers=tuple(layer[::-1] for layer in layers))
    assert np.array_equal(fit_label(turned, image).masks([1, 2]), [layers[0] == 1, layers[1] == 2])


def test_a_segmentation_without_voxels_is_empty_on_any_image():
    image, _ = image_and_label()
    nothing = LabelVolume(np.zeros((1, 1, 1), np.uint8), np.eye(4), partial=True)
    assert fit_label(nothing, image).shape == image.shape


@pytest.mark.real_data
def test_every_real_label_lies_on_its_image(real_data):
    labels = sorted(real_data.glob("Dataset*/labelsTr/*.nii.gz"))[::6]
    assert labels
    for path in labels:
        images = {case.name: case.path for case in list_cases(path.parents[1] / "imagesTr")}
        image = read_image(images[case_name(path)])
        assert fit_label(read_label(path), image).values, path
