"""One shift between two fields of view, found from features alone."""

from __future__ import annotations

import pytest
import torch

from iris_core.inference.place.align import likely_shift
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory

ANATOMY = torch.randn(6, 16, 14, 12, generator=torch.Generator().manual_seed(3))


def memory_of(features: torch.Tensor, offset=(0.0, 0.0, 0.0), box=None) -> ReferenceMemory:
    """A reference whose structure fills the cells of a box; none where it is None."""
    d, h, w = features.shape[1:]
    masks, prototypes = torch.zeros(1, 1, d, h, w), torch.zeros(1, 1, 4, 2, 6)
    if box is not None:
        masks[(0, 0, *box)] = 1
    masks = masks.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    fine, landmarks = torch.zeros(1, 3, 2 * d, 2 * h, 2 * w), masks[:, :, ::2, ::2, ::2]
    return ReferenceMemory(
        features[None], fine, masks, prototypes, landmarks, torch.tensor([offset]), torch.zeros(1, 1)
    )


@pytest.mark.parametrize(("axis", "cut"), [(0, 5), (1, 4), (2, 4)])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_cropped_query_is_moved_to_where_its_places_lie(axis, cut, end):
    length = ANATOMY.shape[axis + 1]
    query = ANATOMY.narrow(axis + 1, cut if end == "first" else 0, length - cut)
    expected = torch.zeros(3)
    expected[axis] = cut / 2 * FEATURE_STRIDE * (1 if end == "first" else -1)
    shift = likely_shift(query, torch.zeros(3), memory_of(ANATOMY))
    assert torch.allclose(shift.voxels, expected) and shift.matched


def test_the_same_field_of_view_is_not_moved():
    shift = likely_shift(ANATOMY, torch.zeros(3), memory_of(ANATOMY))
    assert shift.voxels.abs().max() == 0 and shift.matched


def test_volumes_with_nothing_in_common_are_not_moved():
    other = torch.randn(ANATOMY.shape, generator=torch.Generator().manual_seed(4))
    shift = likely_shift(other, torch.zeros(3), memory_of(ANATOMY))
    assert shift.voxels.abs().max() == 0 and not shift.matched


def test_offsets_of_both_grids_are_taken_into_account():
    """A grid that says it lies elsewhere in its field of view is moved back to where it matches."""
    told = torch.tensor([8.0, 0.0, -4.0])
    assert torch.allclose(likely_shift(ANATOMY, told, memory_of(ANATOMY)).voxels, -told)
    assert torch.allclose(
        likely_shift(ANATOMY, torch.zeros(3), memory_of(ANATOMY, told.tolist())).voxels, told
    )


def smooth(seed: int, size=(16, 14, 12)) -> torch.Tensor:
    """Features that change over several cells, as a network's do."""
    noise = torch.randn(1, 16, *size, generator=torch.Generator().manual_seed(seed))
    for _ in range(2):
        noise = torch.nn.functional.avg_pool3d(noise, 3, 1, 1, count_include_pad=False)
    return noise[0] / noise.std()


INSIDE = (slice(6, 10), slice(5, 9), slice(4, 8))


def test_a_structure_that_moved_within_its_surroundings_is_followed():
    """The surroundings lie as in the reference, the structure with its rim two cells further on."""
    reference, query = smooth(1), smooth(1)
    query[:, 7:13, 4:10, 3:9] = reference[:, 5:11, 4:10, 3:9]
    found = likely_shift(query, torch.zeros(3), memory_of(reference, box=INSIDE)).voxels
    assert (found - torch.tensor([-2.0 * FEATURE_STRIDE, 0, 0])).abs().max() <= 0.5 * FEATURE_STRIDE
    assert likely_shift(query, torch.zeros(3), memory_of(reference)).voxels.abs().max() == 0


def test_a_place_that_suits_a_structure_but_nothing_around_it_is_not_taken():
    """The query lacks the structure and shows a copy of it elsewhere, in strange surroundings."""
    reference = smooth(1)
    query = smooth(2)
    query[:, :5] = reference[:, :5]
    query[:, 10:] = reference[:, 10:]
    query[:, 1:7, 7:13, 5:11] = reference[:, 5:11, 4:10, 3:9]  # 4, 3 and 2 cells away
    found = likely_shift(query, torch.zeros(3), memory_of(reference, box=INSIDE)).voxels
    assert found.abs().max() <= 2 * FEATURE_STRIDE


@pytest.mark.parametrize("seed", [2, 4, 6])
def test_smooth_volumes_with_nothing_in_common_never_match(seed):
    """Features that change slowly agree by chance at some shift more often than noise does."""
    assert not likely_shift(smooth(seed), torch.zeros(3), memory_of(smooth(1), box=INSIDE)).matched
    assert likely_shift(smooth(1), torch.zeros(3), memory_of(smooth(1), box=INSIDE)).matched


def test_padding_is_no_part_of_the_query():
    """Few slices between much padding: they are found where they lie, whatever the padding looks like."""
    reference, slices = smooth(1), slice(9, 13)
    query, inside = torch.zeros(16, 16, 14, 12), torch.zeros(1, 16, 14, 12)
    query[:, 6:10], inside[:, 6:10] = reference[:, slices], 1
    query[:, 10:] = reference[:, 10:]  # what padding must not be taken for
    memory = memory_of(reference, box=(slices, slice(5, 9), slice(4, 8)))
    found = likely_shift(query, torch.zeros(3), memory, inside)
    assert found.matched and (found.voxels - torch.tensor([3.0 * FEATURE_STRIDE, 0, 0])).abs().max() <= 2


def test_half_a_cell_is_told_from_none():
    reference = smooth(3, (33, 14, 12))
    moved = (reference[:, 0:32] + reference[:, 1:33]) / 2  # sampled between the cells
    box = (slice(12, 20), slice(3, 11), slice(2, 10))
    found = likely_shift(moved, torch.zeros(3), memory_of(reference, box=box)).voxels
    # centres of 33 and 32 cells lie half a cell apart, as do the samples: the same places, no shift
    assert found.abs().max() <= 0.15 * FEATURE_STRIDE
    found = likely_shift(reference[:, 0:32], torch.zeros(3), memory_of(reference, box=box)).voxels
    assert (found - torch.tensor([-0.5 * FEATURE_STRIDE, 0, 0])).abs().max() <= 0.15 * FEATURE_STRIDE
