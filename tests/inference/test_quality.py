"""Laws of the quality estimate: exact on logits made by hand, never falling, humbler than the raw overlap."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from iris_core.quality import ONCE, TWICE, calibrated, dice_from_overlap, expected_dice, soft_overlap


def test_soft_overlap_of_hand_made_logits():
    assert soft_overlap(torch.tensor([9.0, -99.0])) == pytest.approx(1, abs=1e-3)
    assert soft_overlap(torch.tensor([0.0001, -0.0001])) == pytest.approx(0.5, abs=1e-3)  # 2 * .5 / (1 + 1)
    assert soft_overlap(torch.tensor([-1.0, -2.0])) == 0


@pytest.mark.parametrize("fit", [ONCE, TWICE])
def test_more_overlap_never_means_less_expected_and_nothing_stays_nothing(fit):
    expected = [calibrated(overlap, fit) for overlap in np.linspace(0, 1, 101)]
    assert expected[0] == 0
    assert expected == sorted(expected)
    assert expected[1] > 0 and expected[-1] <= 1


def test_a_network_is_less_sure_of_itself_than_its_probabilities_say():
    """On real and synthetic pairs a soft overlap of 0.9 went with a Dice near 0.83 (docs/measurements.md)."""
    assert calibrated(0.9) == pytest.approx(0.835, abs=0.01)
    assert calibrated(0.95) == pytest.approx(0.943, abs=0.005)


@pytest.mark.parametrize(("fit", "more"), [(ONCE, 0.05), (TWICE, 0.0)])
def test_the_mean_of_more_references_is_better_than_it_looks_and_nothing_stays_nothing(fit, more):
    rising = [calibrated(0.8, fit, count) for count in (1, 2, 5, 20)]
    assert rising == sorted(rising) and rising[2] - rising[0] > more
    assert calibrated(0.0, fit, 5) == 0


def test_two_passes_that_disagree_let_less_be_expected():
    falling = [dice_from_overlap(0.9, pass_dice) for pass_dice in (1.0, 0.8, 0.4, 0.0)]
    assert falling[0] > falling[1] > falling[2] > falling[3] > 0  # what was found is never nothing
    assert dice_from_overlap(0.0, 0.0) == 0


def test_each_class_has_its_own_estimate():
    sure, empty = torch.full((1, 2, 2), 9.0), torch.full((1, 2, 2), -9.0)
    quality = {"sure": expected_dice(sure), "empty": expected_dice(empty)}
    assert quality["sure"] > 0.95
    assert quality["empty"] == 0
