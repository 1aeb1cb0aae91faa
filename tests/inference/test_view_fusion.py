"""Laws of fusing two views of a class: where they lie, which one counts, and what is expected of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from iris_core.inference.fusion import fused, resampled, share_of, shown_voxel
from iris_core.inference.settings import DEFAULTS
from iris_core.preprocessing.grid import ClassMap, Grid
from iris_core.quality import expected_dice

FILE = (20, 24, 18)
AFFINE = np.diag([1.0, 1.0, 1.0, 1.0])


def grid(crop, shape, spacing=(1.0, 1.0, 1.0)) -> Grid:
    return Grid(FILE, AFFINE, crop, shape, spacing)


WHOLE = grid(((0, 20), (0, 24), (0, 18)), (10, 12, 9), (2.0, 2.0, 2.0))
BOX = grid(((4, 12), (6, 18), (2, 10)), (8, 12, 8))


def ramp(where: Grid) -> torch.Tensor:
    """A linear function of the place in the file, at the centres of a grid's voxels."""
    axes = [
        torch.arange(n) * (stop - start) / n + start + (stop - start) / (2 * n)
        for n, (start, stop) in zip(where.shape, where.crop, strict=True)
    ]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    return x + 2 * y - 3 * z


def blob(where: Grid, height: float) -> torch.Tensor:
    """A ball of the given logit in a background of its negative."""
    axes = [torch.linspace(-1, 1, n) for n in where.shape]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    return torch.where(x**2 + y**2 + z**2 < 0.5, height, -height)


def test_a_linear_map_is_the_same_on_every_grid():
    assert torch.allclose(resampled(ramp(WHOLE), WHOLE, BOX), ramp(BOX), atol=1e-4)
    assert torch.allclose(resampled(ramp(BOX), BOX, BOX), ramp(BOX), atol=1e-4)


def test_beyond_its_own_crop_a_map_goes_on_as_at_its_border():
    spread = resampled(ramp(BOX), BOX, WHOLE)
    assert spread.shape == WHOLE.shape
    assert spread[0, 0, -1] == pytest.approx(float(ramp(BOX)[0, 0, -1]))


def test_shares_of_two_views_add_up_and_follow_what_is_expected():
    for one, other, finer in ((0.9, 0.6, 1.0), (0.3, 0.3, 2.0), (0.0, 1.0, 1.0), (0.7, 0.0, 0.5)):
        assert share_of(one, other, finer) + share_of(other, one, 1 / finer) == pytest.approx(1)
    assert share_of(0.5, 0.5) == 0.5 < share_of(0.5, 0.5, 2.0)
    assert share_of(0.9, 0.6) == pytest.approx(36 / 37)  # odds 9 and 1.5
    assert share_of(0.8, 0.0) > 0.999


def test_two_views_are_weighed_as_the_formula_says():
    """Odds of the expected Dice over the volume of a voxel, squared; here the whole study's has 8 voxels."""
    whole, look = ClassMap(3, blob(WHOLE, 4.0), WHOLE), ClassMap(3, -blob(BOX, 1.0), BOX)
    near, far = expected_dice(look.logits), expected_dice(whole.logits)
    ahead = (8 * (near / (1 - near)) / (far / (1 - far))) ** 2
    share = ahead / (1 + ahead)
    assert 0.1 < share < 0.99  # else the law says little
    both = fused(whole, look)
    expected = share * look.logits + (1 - share) * resampled(whole.logits, WHOLE, BOX)
    assert (both.value, both.grid) == (3, BOX)
    assert torch.allclose(both.logits, expected, atol=1e-4)
    assert both.expected == pytest.approx(share * near + (1 - share) * far, abs=1e-4)


def test_two_equal_views_meet_in_the_middle():
    ball = ClassMap(1, blob(BOX, 2.0), BOX)
    shifted = ClassMap(1, ball.logits.roll(1, 0), BOX)
    both = fused(ball, shifted)
    assert torch.allclose(both.logits, (ball.logits + shifted.logits) / 2, atol=1e-5)
    assert both.expected == pytest.approx(expected_dice(ball.logits))


def test_voxels_finer_than_the_file_s_own_count_for_nothing():
    fine = replace(BOX, shape=(32, 48, 32), spacing=(0.25, 0.25, 0.25))
    assert shown_voxel(fine) == shown_voxel(BOX) == 1
    assert shown_voxel(WHOLE) == 8
    assert shown_voxel(replace(WHOLE, shape=(10, 48, 9))) == 4


def test_no_view_is_surer_than_can_be():
    near, far = ClassMap(1, blob(BOX, 400.0), BOX), ClassMap(1, blob(WHOLE, 1.0), WHOLE)
    assert float(fused(far, near).logits.abs().max()) <= DEFAULTS.fusion.surest_logit


@pytest.mark.parametrize("spread", [1, 4])  # however much coarser the whole study is seen
def test_where_a_look_finds_nothing_the_whole_study_alone_is_heard(spread):
    coarse = replace(WHOLE, shape=tuple(n // spread for n in FILE))
    nothing, found = ClassMap(1, torch.full(BOX.shape, -8.0), BOX), ClassMap(1, blob(coarse, 1.0), coarse)
    both = fused(found, nothing)
    assert torch.allclose(both.logits, resampled(found.logits, coarse, BOX))
    assert both.expected == pytest.approx(expected_dice(found.logits))


def test_an_empty_result_expects_nothing():
    nothing = ClassMap(1, torch.full(BOX.shape, -1.0), BOX)
    outside = torch.full(WHOLE.shape, -1.0)
    outside[-1, -1, -1] = 5.0  # a corner that the box leaves out
    assert fused(ClassMap(1, outside, WHOLE), nothing).expected == 0.0
