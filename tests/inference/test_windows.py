"""Laws of padding, windows and the labelled region."""

from __future__ import annotations

import random

import pytest
import torch

from iris_core.windows.windows import SHORTEST, fitting, offset_of, pad, region_of, starts
from tests.tiny import noise

SHAPES = [(1, 1, 1), (31, 32, 33), (48, 17, 100), (64, 64, 64)]


@pytest.mark.parametrize("shape", SHAPES)
def test_removing_the_padding_gives_the_volume_back(shape):
    volume = noise(2, *shape)
    padded, padding = pad(volume)
    assert all(n % 16 == 0 and n >= SHORTEST for n in padded.shape[1:])
    assert torch.equal(padding.remove(padded), volume)
    torch.testing.assert_close(padded.abs().sum(), volume.abs().sum())  # what was added is 0


def test_padding_to_a_shape_is_centred():
    padded, padding = pad(torch.ones(1, 2, 3, 4), (4, 6, 4))
    assert padding.before == (1, 1, 0) and tuple(padded.shape) == (1, 4, 6, 4)
    assert padded[0, 1:3, 1:4].all() and padded.sum() == 24


def test_a_fitting_length_is_the_least_multiple_of_16_that_holds_it():
    for length in range(1, 200):
        found = fitting(length)
        assert found % 16 == 0 and found >= max(SHORTEST, length) and found - 16 < max(SHORTEST, length)


def test_windows_cover_every_voxel_and_stay_inside():
    draw = random.Random(0)
    for _ in range(300):
        length, window, step = draw.randint(1, 200), draw.randint(16, 96), draw.randint(1, 48)
        step = min(step, window)
        covered = {v for s in starts(length, window, step) for v in range(s, min(s + window, length))}
        assert covered == set(range(length))
        assert max(starts(length, window, step)) + window <= max(length, window)


def test_windows_of_an_axis_by_hand():
    assert starts(96, 96, 48) == [0]
    assert starts(97, 96, 48) == [0, 1]
    assert starts(200, 96, 48) == [0, 48, 96, 104]


@pytest.mark.parametrize(("shape", "expected"), [((64, 48, 32), (0, 0, 0)), ((33, 40, 31), (0.5, 0, 0.5))])
def test_a_window_of_the_whole_volume_has_no_offset_but_half_a_voxel_of_odd_padding(shape, expected):
    padded, padding = pad(torch.zeros(1, *shape))
    assert offset_of((0, 0, 0), tuple(padded.shape[1:]), padding).tolist() == list(expected)


def test_the_offset_of_a_window_is_its_centre_from_the_centre_of_the_volume():
    _, padding = pad(torch.zeros(1, 100, 60, 32), (112, 64, 32))
    # centres 16 + 24 - 6 = 34, 0 + 24 - 2 = 22, 16 of 50, 30, 16
    assert offset_of((16, 0, 0), (48, 48, 32), padding).tolist() == [-16, -8, 0]


def test_the_region_holds_all_foreground_and_keeps_to_the_volume():
    draw = random.Random(1)
    for _ in range(300):
        shape = tuple(draw.randint(1, 40) for _ in range(3))
        masks = torch.zeros(2, *shape)
        for k in range(draw.randint(1, 2)):
            box = [sorted(draw.choices(range(n), k=2)) for n in shape]
            masks[(k, *(slice(a, b + 1) for a, b in box))] = draw.choice([1, 0.1])
        margin, least = draw.randint(0, 8), tuple(draw.randint(1, 48) for _ in range(3))
        region = region_of(masks, margin, least)
        outside = masks.clone()
        outside[(slice(None), *region)] = 0
        assert not outside.any()
        for axis, (side, n) in enumerate(zip(region, shape, strict=True)):
            assert 0 <= side.start < side.stop <= n
            assert side.stop - side.start >= min(n, least[axis])
            hits = torch.nonzero((masks > 0).any(0).transpose(0, axis).flatten(1).any(1)).flatten()
            assert side.start <= max(0, int(hits[0]) - margin)
            assert side.stop >= min(n, int(hits[-1]) + 1 + margin)


def test_the_region_of_a_box_in_the_middle_by_hand():
    masks = torch.zeros(1, 40, 40, 40)
    masks[0, 18:22, 18:22, 0:3] = 1
    region = region_of(masks, 2, (4, 20, 10))
    assert region == (slice(16, 24), slice(10, 30), slice(0, 10))
