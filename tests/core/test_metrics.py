"""Laws of the metrics, on masks small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from iris_core.errors import InputError
from iris_core.metrics import bootstrap_interval, dice, dice_per_class, mean_dice

TRUTH = np.array([[0, 1, 1, 2], [0, 1, 1, 2]])
RESULT = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])  # class 1: 4 truth, 4 result, 2 shared; class 2: missed
EMPTY = np.zeros((2, 4), dtype=int)


def test_dice_of_a_hand_counted_pair_is_one_half():
    assert dice(TRUTH == 1, RESULT == 1) == pytest.approx(0.5)


def test_dice_is_symmetric_and_one_against_itself():
    assert dice(TRUTH, RESULT) == dice(RESULT, TRUTH)
    assert dice(TRUTH, TRUTH) == 1.0


def test_dice_of_two_empty_masks_is_not_a_number():
    assert math.isnan(dice(EMPTY, EMPTY))


def test_a_missed_class_scores_zero_and_lowers_the_mean():
    scores = dice_per_class(TRUTH, RESULT, [1, 2])
    assert scores[2].dice == 0.0
    assert mean_dice(scores) == pytest.approx(0.25)


def test_a_class_absent_in_both_is_not_counted():
    scores = dice_per_class(TRUTH, RESULT, [1, 7])
    assert scores[7].dice is None
    assert mean_dice(scores) == pytest.approx(0.5)


def test_a_class_absent_in_the_truth_counts_as_false_positive_voxels_and_not_as_dice():
    score = dice_per_class(EMPTY, RESULT, [1])[1]
    assert score.dice is None
    assert score.false_positive_voxels == 4
    assert mean_dice({1: score}) is None


def test_a_present_class_has_no_false_positive_voxels():
    assert dice_per_class(TRUTH, RESULT, [1])[1].false_positive_voxels == 0


def test_masks_of_two_shapes_are_refused():
    with pytest.raises(InputError, match="shape"):
        dice(TRUTH, RESULT.T)


def test_the_same_seed_gives_the_same_interval_and_it_holds_the_mean():
    values = np.random.default_rng(1).normal(0.2, 0.1, 20).tolist()
    first, second = bootstrap_interval(values, seed=3), bootstrap_interval(values, seed=3)
    assert first == second
    assert first.low < first.mean < first.high
    assert first.mean == pytest.approx(np.mean(values))


def test_repeating_a_query_does_not_narrow_the_interval():
    values = [0.1, 0.5, 0.2, 0.8]
    once = bootstrap_interval(values, seed=0, units=["a", "b", "c", "d"])
    thrice = bootstrap_interval(values * 3, seed=0, units=["a", "b", "c", "d"] * 3)
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))
    assert thrice.units == 4


def test_a_constant_difference_has_an_interval_of_no_width():
    interval = bootstrap_interval([0.3] * 5, seed=0)
    assert (interval.low, interval.high) == pytest.approx((0.3, 0.3))


def test_no_values_are_refused():
    with pytest.raises(InputError):
        bootstrap_interval([], seed=0)
