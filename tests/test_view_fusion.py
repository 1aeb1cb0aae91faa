"""Laws of fusing two views of a class: where they lie, which one counts, and what is expected of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from iris_core.grid import ClassMap, Grid
from iris_core.quality import expected_dice
from iris_core.view_fusion import SUREST, carried, fused, share_of

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
    assert torch.allclose(carried(ramp(WHOLE), WHOLE, BOX), ramp(BOX), atol=1e-4)
    assert torch.allclose(carried(ramp(BOX), BOX, BOX), ramp(BOX), atol=1e-4)


def test_beyond_its_own_crop_a_map_goes_on_as_at_its_border():
    spread = carried(ramp(BOX), BOX, WHOLE)
    assert spread.shape == WHOLE.shape
    assert spread[0, 0, -1] == pytest.approx(float(ramp(BOX)[0, 0, -1]))


def test_shares_of_two_views_add_up_and_follow_what_is_expected():
    for one, other, finer in ((0.9, 0.6, 1.0), (0.3, 0.3, 2.0), (0.0, 1.0, 1.0), (0.7, 0.0, 0.5)):
        assert share_of(one, other, finer) + share_of(other, one, 1 / finer) == pytest.approx(1)
    assert share_of(0.5, 0.5) == 0.5 < share_of(0.5, 0.5, 2.0)
    assert share_of(0.9, 0.6) == pytest.approx(36 / 37)  # odds 9 and 1.5
    assert share_of(0.8, 0.0) > 0.999


def test_a_sure_view_decides_and_two_equal_ones_meet_in_the_middle():
    fine = replace(WHOLE, spacing=BOX.spacing, crop=BOX.crop)
    sure, unsure = ClassMap(3, blob(BOX, 8.0), BOX), ClassMap(3, -blob(fine, 0.2), fine)
    both = fused(unsure, sure)
    assert (both.value, both.grid) == (3, BOX)
    assert torch.equal(both.logits > 0, sure.logits > 0)
    same = fused(sure, sure)
    assert torch.allclose(same.logits, sure.logits, atol=1e-5)
    assert same.expected == pytest.approx(expected_dice(sure.logits))


def test_no_view_is_surer_than_can_be_and_the_expectation_lies_between():
    near, far = ClassMap(1, blob(BOX, 400.0), BOX), ClassMap(1, blob(WHOLE, 1.0), WHOLE)
    both = fused(far, near)
    assert float(both.logits.abs().max()) <= SUREST
    ends = sorted((expected_dice(near.logits), expected_dice(far.logits)))
    assert ends[0] <= both.expected <= ends[1]


def test_where_a_look_finds_nothing_the_whole_study_is_heard():
    nothing = ClassMap(1, torch.full(BOX.shape, -0.5), BOX)
    found = ClassMap(1, torch.full(WHOLE.shape, 5.0), WHOLE)
    assert bool((fused(found, nothing).logits > 0).all())
