"""Labels drawn in runs of slices, densely then sparsely, or in slices that cross."""

from __future__ import annotations

import numpy as np
import pytest

from iris_core.metrics import dice
from iris_core.volume.unknown import completed, find_gaps, gap_lines, without_gaps
from iris_core.volume.volume import LabelVolume, Volume
from tests.solids import solids


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize(("run", "step"), [(2, 6), (2, 8), (2, 10), (3, 10)])
def test_runs_of_slices_with_wider_gaps_are_found_and_filled(run, step, axis):
    shape = (64, 64, 64)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    whole = (((grid - 32) / (26, 20, 26)) ** 2).sum(-1) < 1
    values = np.where(whole, 160, 100) + np.random.default_rng(0).normal(0, 8, shape)
    image = Volume(values.astype(np.float32), np.eye(4))
    for start in range(0, step, 3):
        sparse = LabelVolume((whole & ((grid[..., axis] + start) % step < run)).astype(np.uint8), np.eye(4))
        (gaps,) = find_gaps(sparse)
        assert gaps.axis == axis
        (line,) = gap_lines(sparse, "x")
        assert "some slices" in line and "single" not in line and "--sparse" in line
        marked = without_gaps(sparse)
        assert dice(completed(marked, image).array == 1, whole) > 0.93
        assert not (marked.unknown(1) & (sparse.array == 1)).any()


def test_a_label_drawn_densely_at_one_end_and_sparsely_at_the_other_is_filled():
    image, label = solids()
    shown = np.flatnonzero((label.array == 1).any(axis=(0, 1)))
    kept = np.zeros(36, bool)
    kept[shown[: len(shown) // 3]] = True
    kept[shown[len(shown) // 3 - 1] :: 4] = True
    sparse = LabelVolume(((label.array == 1) & kept).astype(np.uint8), label.affine)
    (gaps,) = find_gaps(sparse)
    assert gaps.axis == 2
    assert dice(completed(without_gaps(sparse), image).array == 1, label.array == 1) > 0.93


def test_slices_that_cross_are_found_and_filled():
    image, label = solids()
    mask = label.array == 1
    middle = [int(m) for m in np.argwhere(mask).mean(0)]
    shown = np.zeros(mask.shape, bool)
    shown[middle[0]], shown[:, middle[1]], shown[:, :, middle[2]] = True, True, True
    for kept in (shown, shown & ~np.isin(np.arange(36), middle[2])):
        crossed = LabelVolume((mask & kept).astype(np.uint8), label.affine)
        (line,) = gap_lines(crossed, "x")
        assert "that cross" in line and "--sparse" in line
        found = completed(without_gaps(crossed), image).array == 1
        assert dice(found, mask) > 0.7 > 0.5 > dice(crossed.array == 1, mask)


def test_what_a_person_calls_sparse_may_be_irregular():
    _image, label = solids()
    shown = np.flatnonzero((label.array == 3).any(axis=(0, 1)))
    kept = shown[[1, 2, 6, 7, -2, -1]]
    sparse = LabelVolume(((label.array == 3) & np.isin(np.arange(36), kept)).astype(np.uint8), label.affine)
    assert find_gaps(sparse) == () and len(find_gaps(sparse, declared=True)) == 1


def test_a_stack_of_discs_is_whole_whatever_a_person_says():
    draw = np.random.default_rng(0)
    for _ in range(20):
        array, plane = np.zeros((24, 24, 64), np.uint8), int(draw.integers(0, 4))
        while plane < 60:
            thick = int(draw.integers(3, 5))
            array[6:18, 6:18, plane : plane + thick] = 1
            plane += thick + int(draw.integers(5, 10))
        label = LabelVolume(array, np.eye(4))
        assert find_gaps(label) == find_gaps(label, declared=True) == ()
        assert without_gaps(label) is label and gap_lines(label, "x") == []


def test_a_class_of_two_runs_beside_one_of_more_is_filled_too():
    array = np.zeros((30, 30, 60), np.uint8)
    array[4:14, 4:14, 5:55], array[18:28, 18:28, 22:37] = 1, 2
    (gaps,) = find_gaps(LabelVolume(array * (np.arange(60) % 10 < 3), np.eye(4)))
    assert gaps.values == (1, 2) and gaps.planes[1] == gaps.planes[2]
