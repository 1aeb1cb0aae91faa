"""Laws of the pictures: what they show does not depend on how a file stores its voxels."""

from __future__ import annotations

import numpy as np
from PIL import Image

from iris_core.runs.preview import best_slice, contact_sheet, overlay, save_picture
from iris_core.volume.orientation import canonical_affine, to_canonical
from iris_core.volume.volume import LabelVolume, Volume
from tests.stub_engine import AFFINE, label_array

NAMES = {1: "liver", 3: "kidney"}
LIVER = (230, 75, 53)


def study(affine: np.ndarray = AFFINE) -> tuple[Volume, LabelVolume]:
    label = label_array()
    image = np.random.default_rng(0).normal(50, 10, label.shape).astype(np.float32) + 40 * (label > 0)
    return Volume(image, affine), LabelVolume(label, affine, NAMES)


def colors(picture: Image.Image) -> set:
    return {color for _, color in picture.getcolors(1 << 20)}


def test_the_slice_that_shows_most_classes_wins_over_the_one_with_most_voxels():
    classes = np.zeros((3, 4, 4), dtype=int)
    classes[0] = 1
    classes[2, 0, :2] = 1, 2
    assert best_slice(classes, 0) == 2


def test_without_a_label_the_middle_slice_is_shown():
    assert best_slice(np.zeros((7, 4, 4), dtype=int), 0) == 3


def test_the_same_study_in_another_voxel_order_gives_the_same_picture():
    turn = np.array([[0, -1.5, 0, 5], [0, 0, 1.0, 0], [2.0, 0, 0, -9], [0, 0, 0, 1]])
    image, label = study(turn)
    upright = canonical_affine(turn, image.shape)
    straight = Volume(np.ascontiguousarray(to_canonical(image.array, turn)), upright)
    straight_label = LabelVolume(np.ascontiguousarray(to_canonical(label.array, turn)), upright, NAMES)
    assert overlay(image, label).tobytes() == overlay(straight, straight_label).tobytes()


def test_every_class_is_drawn_in_its_colour():
    image, label = study()
    assert {LIVER, (0, 160, 135)} <= colors(overlay(image, label))


def test_the_patient_s_right_is_on_the_left_of_the_axial_slice():
    image, label = study()
    right = np.zeros_like(label.array)
    right[-3:, 3:10, 2:8] = 1  # large i is right in RAS+
    picture = np.asarray(overlay(image, LabelVolume(right, AFFINE)))[:, :300]
    columns = np.nonzero((picture == LIVER).all(axis=2))[1]
    assert columns.size and columns.mean() < 150


def test_the_letters_can_be_read_over_the_brightest_tissue():
    array = np.full((30, 30, 30), 100.0, np.float32)
    array[:2], array[0, 0, 0] = 5, 0  # what is black, and cut away
    bare = LabelVolume(np.zeros(array.shape, np.uint8), np.eye(4))
    top = np.asarray(overlay(Volume(array, np.eye(4)), bare))[8:22, 148:168]  # where the letter A stands
    assert top.max() == 255 and top.min() < 60


def test_an_empty_label_still_gives_a_picture():
    image, label = study()
    empty = LabelVolume(np.zeros_like(label.array), AFFINE)
    assert LIVER not in colors(overlay(image, empty))


def test_a_contact_sheet_holds_every_picture_in_full(tmp_path):
    picture = overlay(*study(), title="one")
    sheet = contact_sheet([picture, picture, picture])
    assert sheet.size == (picture.width, 3 * picture.height)
    assert sheet.crop((0, picture.height, picture.width, 2 * picture.height)).tobytes() == picture.tobytes()
    save_picture(sheet, tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == sheet.size
