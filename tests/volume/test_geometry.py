"""Laws of place: whatever the axis order and the voxel size, a result lies where the structure lies.

The images are drawn by a formula in patient millimetres, so the truth needs none of the code under test. The
network is a threshold at half the image's range.
"""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from iris_core.preprocessing.grid import ClassMap, label_map, restore_label_map
from iris_core.preprocessing.prepare import Prepared, prepare_image, prepare_masks
from iris_core.volume.orientation import canonical_affine, to_canonical
from iris_core.volume.volume import LabelVolume, Volume

ORDERS = [(order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)]
TILT = Rotation.from_euler("xyz", [12, -17, 23], degrees=True).as_matrix()
GRIDS = {
    "isotropic": (np.eye(3), (1.0, 1.0, 1.0), (30, 26, 22)),
    "anisotropic": (np.eye(3), (0.8, 1.1, 3.0), (36, 28, 11)),
    "oblique": (TILT, (1.2, 0.9, 2.0), (26, 32, 14)),
}
CENTER = np.array([4.0, -3.0, 2.0])  # mm; off the middle in every direction, so that a wrong flip shows
RADII = np.array([8.0, 6.0, 7.0])  # mm


def turned_affine(
    kind: str, order: tuple[int, ...], signs: tuple[int, ...]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Affine and shape of a file whose axis n runs along patient axis order[n], forwards or backwards."""
    rotation, spacing, shape = GRIDS[kind]
    linear = rotation @ np.diag(spacing)
    affine = np.eye(4)
    affine[:3, :3] = linear[:, order] * signs
    native = tuple(shape[axis] for axis in order)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(native) - 1) / 2)
    return affine, native


def millimetres(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(I, J, K, 3): patient position of every voxel."""
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def drawn(affine: np.ndarray, shape: tuple[int, ...]) -> tuple[Volume, np.ndarray]:
    """An ellipsoid with a soft edge in a grey field that has a black margin, and the ellipsoid's voxels."""
    place = millimetres(affine, shape)
    radius = np.linalg.norm((place - CENTER) / RADII, axis=-1)
    image = 20 + 80 / (1 + np.exp(12 * (radius - 1)))
    image[place[..., 0] < -10] = 0
    return Volume(image.astype(np.float32), affine), radius < 1


def threshold(prepared: Prepared) -> torch.Tensor:
    """The stub: (1, D, H, W) logits, above 0 where the image is brighter than 60 of its 0 to 100."""
    low, high = prepared.image.min(), prepared.image.max()
    return prepared.image - (low + 0.6 * (high - low))


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_a_mask_lands_where_the_structure_is_in_every_axis_order(kind, order, signs):
    affine, shape = turned_affine(kind, order, signs)
    volume, truth = drawn(affine, shape)
    prepared = prepare_image(volume, modality="mr", spacing=(1.5, 1.5, 1.5))
    mask = restore_label_map(threshold(prepared), prepared.grid, [7]) == 7

    assert mask.shape == shape
    place = millimetres(affine, shape)
    off = place[mask].mean(axis=0) - place[truth].mean(axis=0)
    assert np.linalg.norm(off) < min(volume.spacing)
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.85


@pytest.mark.parametrize("kind", GRIDS)
def test_the_prepared_image_does_not_depend_on_the_axis_order(kind):
    images, centers = [], []
    for order, signs in ORDERS:
        volume, _ = drawn(*turned_affine(kind, order, signs))
        prepared = prepare_image(volume, modality="mr", spacing=(1.5, 1.25, 2.0))
        images.append(prepared.image)
        grid = prepared.grid
        centers.append(millimetres(grid.affine, grid.shape).reshape(-1, 3).mean(axis=0))
    assert all(torch.allclose(image, images[0], atol=1e-4) for image in images)
    assert np.allclose(centers, centers[0])


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_canonical_keeps_every_voxel_at_its_millimetre(order, signs):
    affine, shape = turned_affine("oblique", order, signs)
    place = millimetres(affine, shape)[..., 1].astype(np.float32)
    turned, straight = to_canonical(place, affine), canonical_affine(affine, shape)
    assert np.allclose(turned, millimetres(straight, turned.shape)[..., 1], atol=1e-4)
    assert (np.diag(straight)[:3] > 0).all()


@pytest.mark.parametrize("kind", GRIDS)
def test_a_mask_survives_the_way_there_and_back_at_another_spacing(kind):
    affine, shape = turned_affine(kind, (2, 0, 1), (-1, 1, -1))
    volume, truth = drawn(affine, shape)
    label = LabelVolume(truth.astype(np.uint8), affine)
    for spacing, least in (((1.0, 1.0, 1.0), 0.98), ((1.5, 1.5, 1.5), 0.97)):
        grid = prepare_image(volume, modality="mr", spacing=spacing).grid
        back = ClassMap(1, prepare_masks(label, [1], grid)[0] - 0.5, grid).native() > 0
        assert 2 * (back & truth).sum() / (back.sum() + truth.sum()) > least


def test_at_the_native_spacing_the_way_there_and_back_is_exact():
    affine, shape = turned_affine("anisotropic", (1, 2, 0), (-1, -1, 1))
    volume, _ = drawn(affine, shape)
    values = np.random.default_rng(1).integers(0, 4, shape)
    values[volume.array == 0] = 0  # outside the crop nothing is kept
    label = LabelVolume(values.astype(np.uint8), affine)
    grid = prepare_image(volume, modality="mr", spacing=(0.8, 1.1, 3.0)).grid
    masks = prepare_masks(label, [1, 2, 3], grid)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert np.array_equal(restore_label_map(masks - 0.5, grid, [1, 2, 3]), label.array)


def test_outside_the_crop_a_map_says_surely_not():
    array = np.zeros((6, 7, 8), dtype=np.float32)
    array[2:4, 3:6, 1:5] = np.arange(1, 25).reshape(2, 3, 4)
    volume = Volume(array, np.diag([-1.0, 1.0, -1.0, 1.0]))
    prepared = prepare_image(volume, modality="mr", spacing=(1.0, 1.0, 1.0))
    assert prepared.image.shape == (1, 2, 3, 4)
    back = ClassMap(1, torch.ones(2, 3, 4), prepared.grid).native()
    assert back.shape == (6, 7, 8)
    assert np.array_equal(back == 1, array > 0)
    assert np.array_equal(back == -np.inf, array == 0)


def test_class_by_class_gives_the_label_map_of_all_classes_at_once():
    affine, shape = turned_affine("oblique", (2, 1, 0), (1, -1, 1))
    volume, _ = drawn(affine, shape)
    grid = prepare_image(volume, modality="mr", spacing=(2.0, 2.0, 2.0)).grid
    logits = torch.randn(3, *grid.shape, generator=torch.Generator().manual_seed(0))
    at_once = np.stack([ClassMap(1, one, grid).native() for one in logits])
    result = restore_label_map(logits, grid, [3, 300, 5])
    assert np.array_equal(result, label_map(at_once, [3, 300, 5]))


def test_the_working_affine_places_every_working_voxel():
    affine, shape = turned_affine("oblique", (0, 2, 1), (1, 1, -1))
    height = millimetres(affine, shape)[..., 2]
    ramp = Volume((height + 500).astype(np.float32), affine)  # trilinear interpolation leaves a ramp a ramp
    prepared = prepare_image(ramp, modality="mr", spacing=(3.0, 3.0, 3.0))
    low, high = np.percentile(ramp.array, (2, 98)) - 500
    inner = (slice(2, -2),) * 3
    working = millimetres(prepared.grid.affine, prepared.grid.shape)[inner]
    unclipped = (working[..., 2] > low + 6) & (working[..., 2] < high - 6)
    clipped = height.clip(low, high)
    expected = (working[..., 2] - clipped.mean()) / clipped.std()
    assert unclipped.sum() > 100
    assert np.allclose(prepared.image[0].numpy()[inner][unclipped], expected[unclipped], atol=1e-3)
    middle = millimetres(prepared.grid.affine, prepared.grid.shape).reshape(-1, 3).mean(axis=0)
    assert np.allclose(middle, millimetres(affine, shape).reshape(-1, 3).mean(axis=0))
