"""Laws of the working voxel size: cases of "auto" computed by hand, and the user's own choice."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.preprocessing.spacing import choose_spacing, thinnest_mm
from iris_core.volume.volume import LabelVolume, Volume


def study(shape, spacing, voxels_thick, order=(0, 1, 2)) -> tuple[Volume, LabelVolume]:
    """A volume without black margin and a plate in it, thin along the first patient axis."""
    affine = np.diag([*spacing, 1.0])[:, [*order, 3]]
    shape = tuple(shape[axis] for axis in order)
    label = np.zeros(shape, dtype=np.uint8)
    plate = [slice(2, min(42, length - 2)) for length in shape]
    plate[order.index(0)] = slice(2, 2 + voxels_thick)
    label[tuple(plate)] = 1
    return Volume(np.broadcast_to(np.float32(1), shape), affine), LabelVolume(label, affine)


@pytest.mark.parametrize(
    ("shape", "spacing", "voxels_thick", "expected"),
    [
        # 50 mm / 64 = 0.78, but the file has 1
        pytest.param((36, 50, 35), (1, 1, 1), 5, (1, 1, 1), id="small: never finer than the file"),
        # 19.2 mm / 112 = 0.171, within a quarter of the file's 0.15
        pytest.param(
            (112, 128, 80), (0.15, 0.15, 0.15), 8, (0.15, 0.15, 0.15), id="near the file's voxels: those"
        ),
        # 450 mm / 112 = 4.018
        pytest.param(
            (512, 512, 300), (0.8, 0.8, 1.5), 30, (4.01786, 4.01786, 4.01786), id="large, thick: 112 voxels"
        ),
        # 2.4 mm / 3 = 0.8 would be over 256 voxels; 450 / 256 = 1.76, within a quarter of the file's 1.5
        pytest.param(
            (512, 512, 300), (0.8, 0.8, 1.5), 4, (1.5, 1.5, 1.5), id="large, thin: up to 256 voxels"
        ),
        pytest.param((64, 64, 37), (4, 4, 7.5), 15, (4, 4, 7.5), id="slices under twice as thick stay"),
        # 64 mm / 112 = 0.571, within a quarter of 0.5; slices of 5 mm become 1
        pytest.param((128, 128, 10), (0.5, 0.5, 5), 20, (0.5, 0.5, 1), id="thicker slices come to twice"),
    ],
)
def test_auto_on_studies_computed_by_hand(shape, spacing, voxels_thick, expected):
    assert choose_spacing(*study(shape, spacing, voxels_thick), "auto") == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)])
def test_auto_speaks_of_patient_axes_whatever_the_files_axis_order(order):
    sizes = choose_spacing(*study((64, 60, 36), (3.5, 4.0, 6.0), 30, order), "auto")
    assert sizes == pytest.approx((3.5, 4.0, 6.0))


def test_auto_looks_at_the_nonzero_box_alone():
    array = np.zeros((200, 200, 200), dtype=np.float32)
    array[10:60, 20:70, 30:80] = 1
    assert choose_spacing(Volume(array, np.eye(4)), None, "auto") == (1.0, 1.0, 1.0)


def test_thin_structures_ask_for_finer_voxels_than_thick_ones():
    thick = choose_spacing(*study((200, 200, 200), (0.5, 0.5, 0.5), 24), "auto")
    thin = choose_spacing(*study((200, 200, 200), (0.5, 0.5, 0.5), 3), "auto")
    assert thin[0] < thick[0]
    assert choose_spacing(study((200, 200, 200), (0.5, 0.5, 0.5), 3)[0], None, "auto") == thick


def test_the_thickness_of_a_slab_is_its_own_and_the_thinnest_class_counts():
    array = np.zeros((40, 40, 40), dtype=np.uint8)
    array[2:7, 4:36, 4:36] = 70  # 5 voxels of 2 mm
    assert thinnest_mm(LabelVolume(array, np.diag([2.0, 2, 2, 1]))) == pytest.approx(10)
    array[20:23, 4:36, 4:36] = 7  # 3 voxels
    assert thinnest_mm(LabelVolume(array, np.diag([2.0, 2, 2, 1]))) == pytest.approx(6)
    large = np.where(array == 7, 100_000, array).astype(np.int32)
    assert thinnest_mm(LabelVolume(large, np.diag([2.0, 2, 2, 1]))) == pytest.approx(6)


def test_the_users_choice_is_taken_as_it_is():
    image, label = study((30, 30, 30), (1, 1, 1), 5)
    assert choose_spacing(image, label, "paper") == (1.5, 1.5, 1.5)
    assert choose_spacing(image, label, 2) == (2.0, 2.0, 2.0)
    assert choose_spacing(image, label, (1, 2, 3.5)) == (1.0, 2.0, 3.5)


@pytest.mark.parametrize("policy", ["fine", 0, -1.5, float("nan"), (1, 2), (1, 2, 0)])
def test_anything_else_is_refused(policy):
    with pytest.raises(InputError, match=r"spacing.*auto, paper"):
        choose_spacing(*study((30, 30, 30), (1, 1, 1), 5), policy)
