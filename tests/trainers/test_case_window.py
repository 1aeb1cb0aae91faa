"""Windows of stored cases, and the way between nnU-Net's axes and ours."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from iris_core.windows.windows import offset_of, pad
from nnunet_trainers.episodes.axes import inverse, is_canonical, permuted, to_ijk
from nnunet_trainers.episodes.case_window import OUTSIDE, cut, draw_start, middle


def stored(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    image = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(1, *shape)
    return image, (image % 3).astype(np.int8)


def test_a_window_holds_the_volume_where_it_overlaps_and_padding_elsewhere():
    image, labels = stored(3, 4, 2)
    window = cut(image, labels, (-1, 2, 0), (3, 3, 2))
    assert torch.equal(window.image[0, 1:, :2], torch.from_numpy(image[0, :2, 2:4]))
    assert torch.equal(window.labels[0, 1:, :2].float(), torch.from_numpy(labels[0, :2, 2:4]).float())
    assert (window.image[0, 0] == 0).all() and (window.image[0, :, 2] == 0).all()
    assert (window.labels[0, 0] == OUTSIDE).all() and (window.labels[0, :, 2] == OUTSIDE).all()


def test_the_offset_is_that_of_the_padded_volume_at_inference():
    image, labels = stored(20, 40, 33)
    _, padding = pad(torch.from_numpy(image), (32, 48, 48))
    before = tuple(-b for b in padding.before)
    ours = cut(image, labels, before, (32, 48, 48)).offset
    assert torch.equal(ours, offset_of((0, 0, 0), (32, 48, 48), padding))


@pytest.mark.parametrize("voxel", [None, (0, 0, 0), (19, 4, 7), (10, 2, 3)])
def test_a_window_holds_the_voxel_and_leaves_the_volume_only_where_that_is_smaller(voxel):
    rng, shape, sides = np.random.default_rng(0), (20, 5, 8), (8, 8, 8)
    starts = np.array([draw_start(shape, sides, voxel, rng) for _ in range(300)])
    assert starts[:, 0].min() >= 0 and starts[:, 0].max() <= 12
    assert starts[:, 1].min() == -3 and starts[:, 1].max() == 0  # a smaller volume lies anywhere inside
    assert (starts[:, 2] == 0).all()
    if voxel is not None:
        assert (starts <= voxel).all() and (starts + 8 > voxel).all()


def test_a_window_holds_a_region_whole_along_every_axis_on_which_it_fits():
    rng, shape, sides = np.random.default_rng(0), (30, 30, 6), (8, 8, 8)
    box = (3, 10, 2), (10, 25, 4)  # 8, 16 and 3 voxels long
    starts = np.array([draw_start(shape, sides, (5, 20, 3), rng, box) for _ in range(300)])
    assert (starts[:, 0] == 3).all()
    assert starts[:, 1].min() == 13 and starts[:, 1].max() == 20  # too long: the voxel alone
    assert starts[:, 2].min() == -2 and starts[:, 2].max() == 0


def test_the_middle_of_a_wide_window_is_the_window():
    image, labels = stored(12, 12, 12)
    wide, plain = cut(image, labels, (0, 1, 2), (8, 6, 10)), cut(image, labels, (2, 2, 4), (4, 4, 6))
    inner = middle(wide, (4, 4, 6))
    assert torch.equal(inner.image, plain.image) and torch.equal(inner.offset, plain.offset)


@pytest.mark.parametrize("forward", list(permutations(range(3))))
def test_our_axes_are_found_again_in_arrays_that_nnunet_transposed(forward):
    ijk = torch.arange(24).view(2, 3, 4)
    read = ijk.permute(2, 1, 0)  # what nnU-Net's readers give
    order = to_ijk({"transpose_forward": list(forward)})
    turned = permuted(read.permute(*forward)[None], order)
    assert torch.equal(turned[0], ijk)
    assert torch.equal(permuted(turned[0], inverse(order)), read.permute(*forward))


def test_only_the_reorienting_reader_is_canonical():
    assert is_canonical({"image_reader_writer": "NibabelIOWithReorient"})
    assert not is_canonical({"image_reader_writer": "SimpleITKIO"})
