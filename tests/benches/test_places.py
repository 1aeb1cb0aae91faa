"""Laws of the bench of places: the same cases for the same seed, and a judge that no slip deceives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.places.case import synthetic_cases
from benchmarks.places.figures import auroc, known_when_wrong, table
from benchmarks.places.groups import SYNTHETIC
from benchmarks.places.judge import in_place, judged
from benchmarks.places.real import REAL

UNIT = np.ones(3)


def box(shape, *sides) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


@pytest.fixture(scope="module")
def cases():
    return list(synthetic_cases(limit=2))


def test_the_bench_has_three_hundred_cases():
    views = {True: 3, False: 1}  # whole, cropped, moved
    real = sum(pairs * views[cropped] for _, pairs, cropped in REAL.values())
    assert sum(count for _, count in SYNTHETIC.values()) + real >= 300


def test_each_group_draws_labelled_pairs_for_both_halves_and_only_the_blind_ones_hide_the_place(cases):
    assert [case.half for case in cases] == ["A", "B"] * len(SYNTHETIC)
    for case in cases:
        assert case.values, case.name
        assert case.reference.image.array.shape == case.reference.label.array.shape
        assert np.isfinite(case.query.image.array).all() and case.query.image.array.std() > 0
    hidden = {case.group for case in cases if not case.place_is_visible}
    assert "column-blind" in hidden and {case.group for case in cases} - hidden >= {"hearts", "paired"}


def test_the_same_seed_draws_the_same_case_and_two_people(cases):
    again = next(synthetic_cases(("teeth",), 1))
    first = next(case for case in cases if case.group == "teeth")
    assert np.array_equal(first.query.image.array, again.query.image.array)
    assert first.reference.image.array.shape != first.query.image.array.shape or not np.array_equal(
        first.reference.image.array, first.query.image.array
    )


def test_a_perfect_result_is_in_place_and_one_of_the_neighbouring_level_is_not(cases):
    case = next(case for case in cases if case.group == "column-ct")
    truth = case.query.label.array
    perfect = judged(case, truth, {})
    assert all(v.placed and v.dice == 1 for v in perfect if v.present)
    slipped = np.where(truth > 0, truth + 1, 0)  # each vertebra under the name of the one above
    assert not any(v.placed for v in judged(case, slipped, {}))
    assert not any(v.placed or v.dice for v in judged(case, np.zeros_like(truth), {}))


def test_half_the_smallest_extent_counts_along_the_masks_own_axes():
    truth = box((40, 40, 40), (10, 30), (10, 30), (18, 22))  # 4 voxels thin
    assert in_place(truth, np.roll(truth, 1, 2), UNIT) and not in_place(truth, np.roll(truth, 3, 2), UNIT)
    i, j, k = np.indices((40, 40, 40)) - 20
    slanted = (np.abs(i) < 12) & (np.abs(j) < 12) & (np.abs(i + k) < 3)
    assert in_place(slanted, np.roll(slanted, 1, 2), UNIT) and not in_place(
        slanted, np.roll(slanted, 5, 2), UNIT
    )
    assert not in_place(truth, np.zeros_like(truth), UNIT)


def test_expected_dice_that_tells_bad_results_scores_one_and_a_boast_is_counted(cases):
    case = next(case for case in cases if case.group == "hearts")
    truth = case.query.label.array
    names = [case.reference.label.name_of(value) for value in case.reference.label.values]
    good = judged(case, truth, dict.fromkeys(names, 0.9))
    bad = [replace(v, case="other") for v in judged(case, np.zeros_like(truth), dict.fromkeys(names, 0.7))]
    figures = known_when_wrong(good + bad)
    assert figures["auroc"] == 1 and figures["overrated"] == 1 and figures["useless"] == len(bad)
    assert auroc([1.0, 0.5], [0.5]) == 0.75
    assert "| hearts | 2 | 0.500" in table(good + bad)
