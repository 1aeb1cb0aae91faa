"""What a label does not say is neither a class nor background: voxels to ignore, slices nobody drew on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from iris_core.inference.bias import class_biases
from iris_core.metrics import dice
from iris_core.model.similarity import prototypes
from iris_core.preprocessing.prepare import prepare_image, prepare_unknown
from iris_core.segmenter import Segmenter
from iris_core.strategies.tuning import Example, tune
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.volume.unknown import completed, find_gaps, gap_lines, ignored_aside, without_gaps
from iris_core.volume.unknown.shapes import plane_shapes
from iris_core.volume.unknown.tissue import histogram, log_odds
from iris_core.volume.volume import LabelVolume, Volume
from tests.solids import solids
from tests.tiny import boxes, network, noise, scene, study, without

OBLIQUE = np.array([[0.0, -0.9, 0.4, 3], [-1.1, 0, 0, 5], [0, 0.5, 1.8, -7], [0, 0, 0, 1]])


def in_every(label: LabelVolume, step: int, axis: int, values=(1, 3)) -> LabelVolume:
    """The label in which some classes are drawn in every so many slices."""
    kept = np.arange(label.shape[axis]) % step == 2 % step
    keep = np.expand_dims(kept, tuple(a for a in range(3) if a != axis)) | ~np.isin(label.array, values)
    return replace(label, array=np.where(keep, label.array, 0).astype(np.uint8))


# --- slices that nobody drew on -----------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("step", [2, 3, 5, 7])
def test_gaps_are_found_along_any_axis_in_any_order_of_axes(step, axis):
    image, label = solids()
    sparse = in_every(label, step, axis)
    for affine in (image.affine, OBLIQUE):
        (gaps,) = find_gaps(replace(sparse, affine=affine))
        assert gaps.axis == axis and gaps.values == (1, 3) and gaps.step == step and gaps.regular
    (line,) = gap_lines(sparse, "case.nii.gz")
    assert "\n" not in line and "bright, dark" in line and f"every {step}" in line and "--sparse" in line


def test_planes_at_irregular_distances_are_found_where_they_show_one_structure():
    _, label = solids()
    kept = np.zeros(36, bool)
    kept[[9, 12, 17, 19, 20, 26]] = True
    (gaps,) = find_gaps(replace(label, array=label.array * kept))
    assert gaps.axis == 2 and not gaps.regular


def test_a_class_drawn_throughout_beside_one_that_is_not_stays_as_it_is():
    image, label = solids()
    sparse = in_every(label, 4, 2, values=(3,))
    (gaps,) = find_gaps(sparse)
    assert gaps.values == (3,)
    marked = without_gaps(sparse)
    assert marked.unknown(1) is None and not (marked.unknown(3) & (sparse.array == 1)).any()
    found = completed(marked, image)
    assert np.array_equal(found.array == 1, label.array == 1)
    assert dice(found.array == 3, label.array == 3) > 0.9


def anatomies() -> dict[str, np.ndarray]:
    """Labels that are whole although there are gaps in them."""
    names = "vertebrae, paired, lesions, thick slices, thin plate, one small lesion, speckles, discs"
    found = {name: np.zeros((48, 48, 24), np.uint8) for name in names.split(", ")}
    for k in (2, 10, 18):
        found["vertebrae"][14:30, 14:30, k : k + 5] = 1
    found["paired"][4:14, 10:30, 4:20], found["paired"][34:44, 10:30, 4:20] = 1, 1
    for i, j, k in ((5, 8, 2), (30, 12, 5), (12, 33, 9), (38, 40, 14), (22, 20, 19)):
        found["lesions"][i : i + 4, j : j + 4, k] = 1
    found["thick slices"][10:30, 10:30, 3:9] = 1
    found["thin plate"][10:40, 10:40, 11:13] = 1
    found["one small lesion"][20:23, 20:23, 7] = 1
    found["speckles"][np.random.default_rng(1).random((48, 48, 24)) < 0.01] = 1
    for k in (3, 12, 20):
        found["discs"][14:30, 14:30, k : k + 3] = 1
    return found


@pytest.mark.parametrize("name", anatomies())
@pytest.mark.parametrize("axis", [0, 2])
def test_gaps_of_the_anatomy_are_no_gaps_of_the_label(name, axis):
    array = np.moveaxis(anatomies()[name], 2, axis)
    label = LabelVolume(array, np.diag([1.0, 1.0, 1.0, 1.0]))
    assert find_gaps(label) == find_gaps(label, declared=True) == ()
    assert without_gaps(label) is label, "nothing of a whole label changes"


def test_one_slice_is_found_where_the_structure_is_wider_than_a_slice():
    _, label = solids(spacing=(1.0, 1.0, 3.0))
    one = np.zeros_like(label.array)
    one[..., 18] = label.array[..., 18]
    (gaps,) = find_gaps(replace(label, array=one))
    assert gaps.axis == 2 and gaps.step == 0
    assert "one of 36 slices" in gap_lines(replace(label, array=one), "x")[0]


def test_classes_drawn_in_slices_of_their_own_or_along_another_axis_are_filled_each_by_its_own():
    image, label = solids()
    first, second = in_every(label, 5, 2, values=(1,)), label.array * (np.arange(36) % 5 == 4)
    shifted = replace(label, array=np.where(label.array == 3, second * (second == 3), first.array))
    crossed = in_every(in_every(label, 4, 2, values=(1,)), 4, 0, values=(3,))
    assert {gaps.axis: gaps.values for gaps in find_gaps(crossed)} == {2: (1,), 0: (3,)}
    for sparse in (shifted, crossed):
        found = completed(without_gaps(sparse), image)
        assert min(dice(found.array == v, label.array == v) for v in (1, 3)) > 0.9


# --- the guess ----------------------------------------------------------------------------------------------


def test_between_two_squares_lies_their_mean_and_towards_an_empty_plane_it_shrinks_to_nothing():
    mask = np.zeros((9, 15, 15), bool)
    mask[2, 3:8, 3:8], mask[4, 5:10, 5:10] = True, True
    drawn = np.zeros(9, bool)
    drawn[[2, 4, 8]] = True
    shapes = plane_shapes(mask, drawn, (1.0, 1.0, 1.0))
    middle = np.zeros((15, 15), bool)
    middle[4:9, 4:9] = True
    assert np.array_equal(shapes.inside[3] > 0, middle)
    areas = (shapes.inside > 0).sum(axis=(1, 2)).tolist()
    assert areas[2] == areas[4] == 25 and 25 >= areas[5] >= areas[6] > areas[7] > areas[8] == 0
    assert shapes.sources[3] == (2, 4) and shapes.sources[5] == (4,) and shapes.sources[0] == (2,)


def test_intensities_speak_for_the_class_that_has_them_and_not_beyond_their_bound():
    bins = np.repeat([10, 50], 400)
    both = histogram(bins, bins == 50, bins == 10)
    odds = log_odds(both, both)
    assert odds[50] == 3 and odds[10] == -3 and abs(odds[30]) < 0.5


@pytest.mark.parametrize("step", [2, 3, 5])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_completed_label_is_nearly_the_whole_one_and_completing_it_again_changes_nothing(step, axis):
    image, label = solids()
    sparse = in_every(label, step, axis)
    marked = without_gaps(sparse)
    found = completed(marked, image)
    for value in (1, 3):
        assert dice(found.array == value, label.array == value) > 0.93
    known = ~(marked.unknown(1) | marked.unknown(3))
    assert np.array_equal(found.array[known], sparse.array[known])
    assert np.array_equal(completed(found, image).array, found.array)


def test_slices_to_ignore_are_filled_and_nobody_is_told_of_gaps():
    image, label = solids()
    array = np.where(np.arange(36) % 5 == 2, label.array, 4).astype(np.uint8)
    ignored = ignored_aside(replace(label, array=array, names={**label.names, 4: "ignore"}))
    assert gap_lines(ignored, "x") == [] and without_gaps(ignored) is ignored
    found = completed(ignored, image)
    assert min(dice(found.array == v, label.array == v) for v in (1, 3)) > 0.9


def test_half_a_structure_under_voxels_to_ignore_is_guessed_and_never_cut():
    image, label = solids()
    array = label.array.copy()
    array[12:20] = 4
    hidden = ignored_aside(replace(label, array=array, names={**label.names, 4: "ignore"}))
    found = completed(hidden, image)
    assert dice(found.array == 1, label.array == 1) > 0.9 and found.values == (1, 3)


def test_a_guess_reaches_as_far_as_a_large_structure_may():
    shape = (80, 60, 60)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    whole = (((grid - (40, 30, 30)) / (30, 22, 22)) ** 2).sum(-1) < 1
    values = np.where(whole, 160, 100) + np.random.default_rng(0).normal(0, 8, shape)
    image = Volume(values.astype(np.float32), np.eye(4))
    half = ignored_aside(
        LabelVolume(np.where(grid[..., 0] > 38, 2, whole).astype(np.uint8), np.eye(4), {2: "ignore"})
    )
    one = without_gaps(LabelVolume((whole & (grid[..., 0] == 40)).astype(np.uint8), np.eye(4)))
    assert dice(completed(half, image).array == 1, whole) > 0.9
    assert dice(completed(one, image).array == 1, whole) > 0.75


def test_strokes_grow_to_their_structure():
    image, label = solids()
    array = np.zeros_like(label.array)
    array[8:21, 15, 18], array[20:35, 30, 17], array[14, 8:22, 18] = 1, 3, 1
    found = completed(without_gaps(replace(label, array=array), "scribbles"), image)
    for value in (1, 3):
        assert dice(found.array == value, label.array == value) > 0.4
        assert dice(array == value, label.array == value) < 0.05


def test_a_label_that_says_all_is_given_back_as_it_is():
    image, label = solids()
    reference = Reference(image, label)
    assert completed(label, image) is label and without_gaps(label, "slices") is label
    assert reference.completed("slices") is reference and reference.gap_lines("no") == []
    grid = prepare_image(image, modality="mr", spacing=(1.0, 1.0, 1.0)).grid
    assert prepare_unknown(label, [1, 3], grid) is None


# --- what is fitted on the reference ------------------------------------------------------------------------


def test_a_bias_is_chosen_by_known_voxels_alone():
    masks, logits = boxes(2), noise(2, 32, 32, 32) + 4 * boxes(2) - 3
    unknown = torch.zeros_like(masks)
    unknown[:, 10:20] = 1
    told = class_biases(logits, masks, unknown)
    other_masks, other_logits = (torch.where(unknown > 0, 1 - x, x) for x in (masks, logits))
    assert torch.equal(told, class_biases(other_logits, other_masks, unknown))
    assert not torch.equal(told, class_biases(other_logits, other_masks))


def test_unknown_voxels_are_not_learnt_as_background():
    features = tuple(noise(1, 8, n, n, n, seed=n) for n in (16, 8))
    masks, unknown = torch.zeros(1, 1, 16, 16, 16), torch.zeros(1, 1, 16, 16, 16)
    masks[..., 6:10, 6:10, 6:10], unknown[..., :6] = 1, 1
    changed = [f.clone() for f in features]
    changed[0][..., :6] *= -1
    changed[1][..., :3] *= -1
    one, other = (prototypes(tuple(f), masks, unknown)[:, :, :, 1] for f in (features, changed))
    assert torch.cosine_similarity(one[:, :, 0], other[:, :, 0], dim=-1).min() > 0.999
    assert torch.equal(prototypes(features, masks, torch.zeros_like(masks)), prototypes(features, masks))


def test_tuning_learns_nothing_from_guesses():
    segmenter = Segmenter(network(), **without("mirroring"))
    image, masks = scene()
    unknown = torch.zeros_like(masks)
    unknown[:, 8:12] = 1
    other = torch.where(unknown > 0, 1 - masks, masks)
    pool = [segmenter.encode(image, masks, ("a", "b"))]
    results = []
    for truth in (masks, other):
        example = Example(image, torch.where(unknown > 0, truth, masks), ("a", "b"), unknown)
        results.append(tune(segmenter, pool, [example], ("a", "b"), steps=1))
    assert results[0].before == results[1].before


def test_a_task_says_which_labels_have_gaps_and_whole_labels_give_the_same_task_as_ever():
    segmenter = Segmenter(network(), **without("mirroring"))
    image, label = study()
    whole = Reference(image, label, "whole")
    plain, told = (encode_task(segmenter, [whole], spacing=2.0, sparse=how) for how in ("no", "slices"))
    assert torch.equal(plain.pool[0].tokens, told.pool[0].tokens) and "label_gaps" not in plain.provenance
    (none,) = told.provenance["label_gaps"]
    assert none.startswith("no label was drawn in single slices: all are taken as whole")
    assert "--sparse scribbles" in none
    sparse = replace(whole, label=in_every(label, 3, 2, values=(1, 4)), name="some")
    lines = encode_task(segmenter, [whole, sparse], spacing=2.0).provenance["label_gaps"]
    assert len(lines) == 1 and lines[0].startswith("some: ")
    both = encode_task(segmenter, [whole, sparse], spacing=2.0, sparse="slices")
    assert torch.equal(both.pool[0].tokens, plain.pool[0].tokens)
    first, second = both.pool[1].volumes, encode_task(segmenter, [sparse], spacing=2.0).pool[0].volumes
    assert (first > 1.5 * second).all(), "the slices between are filled"
