"""Laws of copy-prompt: where a copied mask must land, on grids small enough to see."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.evaluation.peers.copy_prompt import copy_prompt
from iris_core.volume.orientation import canonical_affine, from_canonical, to_canonical
from iris_core.volume.volume import LabelVolume, Volume


def label_of(array: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)) -> LabelVolume:
    return LabelVolume(array.astype(np.int16), np.diag([*spacing, 1.0]))


def query_of(shape: tuple[int, int, int], spacing: tuple[float, float, float] = (1, 1, 1)) -> Volume:
    return Volume(np.zeros(shape, np.float32), np.diag([*spacing, 1.0]))


def blobs() -> np.ndarray:
    array = np.zeros((6, 8, 10), dtype=np.int16)
    array[1:3, 2:5, 3:7] = 1
    array[4, 5:7, 2:4] = 2
    return array


def test_onto_its_own_grid_both_copies_are_the_mask_itself():
    copied = copy_prompt(label_of(blobs()), query_of((6, 8, 10)), [1, 2])
    np.testing.assert_array_equal(copied["rescaled"].array, blobs())
    np.testing.assert_array_equal(copied["centred"].array, blobs())


def test_only_the_asked_values_are_copied():
    copied = copy_prompt(label_of(blobs()), query_of((6, 8, 10)), [2])
    assert set(np.unique(copied["rescaled"].array)) == {0, 2}


def test_rescaled_doubles_every_voxel_on_a_grid_of_twice_the_size():
    copied = copy_prompt(label_of(blobs()), query_of((12, 16, 20)), [1, 2])
    np.testing.assert_array_equal(copied["rescaled"].array, np.kron(blobs(), np.ones((2, 2, 2), np.int16)))


def test_centred_keeps_the_size_in_mm_when_the_query_has_half_the_spacing():
    copied = copy_prompt(label_of(blobs()), query_of((12, 16, 20), (0.5, 0.5, 0.5)), [1, 2])
    np.testing.assert_array_equal(copied["centred"].array, np.kron(blobs(), np.ones((2, 2, 2), np.int16)))


def test_centred_pads_with_background_on_a_larger_field_of_view():
    copied = copy_prompt(label_of(blobs()), query_of((10, 12, 14)), [1, 2])
    expected = np.pad(blobs(), 2)
    np.testing.assert_array_equal(copied["centred"].array, expected)


def test_centred_cuts_on_a_smaller_field_of_view():
    copied = copy_prompt(label_of(blobs()), query_of((4, 6, 8)), [1, 2])
    np.testing.assert_array_equal(copied["centred"].array, blobs()[1:-1, 1:-1, 1:-1])


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 1.0, 1.5)])
@pytest.mark.parametrize("turn", [np.diag([-1.0, -1.0, 1.0]), np.array([[0, 0, 1.0], [-1, 0, 0], [0, 1, 0]])])
def test_the_query_s_axis_order_does_not_change_what_is_copied(turn, spacing):
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag(spacing)
    shape = (5, 9, 7)
    turned = Volume(np.zeros(shape, np.float32), affine)
    upright = Volume(
        np.ascontiguousarray(to_canonical(turned.array, affine)), canonical_affine(affine, shape)
    )
    for way in ("rescaled", "centred"):
        native = copy_prompt(label_of(blobs()), turned, [1, 2])[way]
        straight = copy_prompt(label_of(blobs()), upright, [1, 2])[way]
        assert straight.array.any()
        np.testing.assert_array_equal(native.array, from_canonical(straight.array, affine))
        np.testing.assert_array_equal(native.affine, affine)
