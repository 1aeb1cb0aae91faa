"""One shift between two fields of view, found from features alone."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from iris_core.inference.alignment import rivals
from iris_core.inference.alignment.align import Shift, align, likely_shifts, placed
from iris_core.inference.settings import DEFAULTS
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory
from iris_core.task.embedding import TaskEmbedding

STAGE = DEFAULTS.rivals
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


def field_shift(*told) -> Shift:
    """The likeliest shift."""
    return likely_shifts(*told)[0]


@pytest.mark.parametrize(("axis", "cut"), [(0, 5), (1, 4), (2, 4)])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_cropped_query_is_moved_to_where_its_places_lie(axis, cut, end):
    length = ANATOMY.shape[axis + 1]
    query = ANATOMY.narrow(axis + 1, cut if end == "first" else 0, length - cut)
    expected = torch.zeros(3)
    expected[axis] = cut / 2 * FEATURE_STRIDE * (1 if end == "first" else -1)
    shift = field_shift(query, torch.zeros(3), memory_of(ANATOMY))
    assert torch.allclose(shift.voxels, expected) and shift.matched


def test_the_same_field_of_view_is_not_moved():
    shift = field_shift(ANATOMY, torch.zeros(3), memory_of(ANATOMY))
    assert shift.voxels.abs().max() == 0 and shift.matched


def test_volumes_with_nothing_in_common_are_not_moved():
    other = torch.randn(ANATOMY.shape, generator=torch.Generator().manual_seed(4))
    shift = field_shift(other, torch.zeros(3), memory_of(ANATOMY))
    assert shift.voxels.abs().max() == 0 and not shift.matched


def test_offsets_of_both_grids_are_taken_into_account():
    """A grid that says it lies elsewhere in its field of view is moved back to where it matches."""
    told = torch.tensor([8.0, 0.0, -4.0])
    assert torch.allclose(field_shift(ANATOMY, told, memory_of(ANATOMY)).voxels, -told)
    assert torch.allclose(
        field_shift(ANATOMY, torch.zeros(3), memory_of(ANATOMY, told.tolist())).voxels, told
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
    found = field_shift(query, torch.zeros(3), memory_of(reference, box=INSIDE)).voxels
    assert (found - torch.tensor([-2.0 * FEATURE_STRIDE, 0, 0])).abs().max() <= 0.5 * FEATURE_STRIDE
    assert field_shift(query, torch.zeros(3), memory_of(reference)).voxels.abs().max() == 0


def test_a_place_that_suits_a_structure_but_nothing_around_it_is_not_taken():
    """The query lacks the structure and shows a copy of it elsewhere, in strange surroundings."""
    reference = smooth(1)
    query = smooth(2)
    query[:, :5] = reference[:, :5]
    query[:, 10:] = reference[:, 10:]
    query[:, 1:7, 7:13, 5:11] = reference[:, 5:11, 4:10, 3:9]  # 4, 3 and 2 cells away
    found = field_shift(query, torch.zeros(3), memory_of(reference, box=INSIDE)).voxels
    assert found.abs().max() <= 2 * FEATURE_STRIDE


@pytest.mark.parametrize("seed", [2, 4, 6])
def test_smooth_volumes_with_nothing_in_common_never_match(seed):
    """Features that change slowly agree by chance at some shift more often than noise does."""
    assert not field_shift(smooth(seed), torch.zeros(3), memory_of(smooth(1), box=INSIDE)).matched
    assert field_shift(smooth(1), torch.zeros(3), memory_of(smooth(1), box=INSIDE)).matched


def test_padding_is_no_part_of_the_query():
    """Few slices between much padding: they are found where they lie, whatever the padding looks like."""
    reference, slices = smooth(1), slice(9, 13)
    query, inside = torch.zeros(16, 16, 14, 12), torch.zeros(1, 16, 14, 12)
    query[:, 6:10], inside[:, 6:10] = reference[:, slices], 1
    query[:, 10:] = reference[:, 10:]  # what padding must not be taken for
    memory = memory_of(reference, box=(slices, slice(5, 9), slice(4, 8)))
    found = field_shift(query, torch.zeros(3), memory, inside)
    assert found.matched and (found.voxels - torch.tensor([3.0 * FEATURE_STRIDE, 0, 0])).abs().max() <= 2


def test_half_a_cell_is_told_from_none():
    reference = smooth(3, (33, 14, 12))
    moved = (reference[:, 0:32] + reference[:, 1:33]) / 2  # sampled between the cells
    box = (slice(12, 20), slice(3, 11), slice(2, 10))
    found = field_shift(moved, torch.zeros(3), memory_of(reference, box=box)).voxels
    # centres of 33 and 32 cells lie half a cell apart, as do the samples: the same places, no shift
    assert found.abs().max() <= 0.15 * FEATURE_STRIDE
    found = field_shift(reference[:, 0:32], torch.zeros(3), memory_of(reference, box=box)).voxels
    assert (found - torch.tensor([-0.5 * FEATURE_STRIDE, 0, 0])).abs().max() <= 0.15 * FEATURE_STRIDE


PITCH = 4  # cells


def chain(seed: int = 5) -> tuple[torch.Tensor, tuple]:
    """Features that nearly repeat every few cells along the first axis, and a box around one link."""
    link = smooth(seed, (PITCH, 14, 12))
    return torch.cat([link] * 5, dim=1) + 0.3 * smooth(seed + 1, (20, 14, 12)), (slice(8, 12), *INSIDE[1:])


def test_look_alike_places_are_rivals_and_none_lies_near_another():
    features, box = chain()
    shifts = likely_shifts(features, torch.zeros(3), memory_of(features, box=box))
    assert shifts[0].voxels.abs().max() <= 0.1 * FEATURE_STRIDE
    assert 1 < len(shifts) <= 1 + STAGE.most_rivals
    along = {abs(round(float(shift.voxels[0]) / FEATURE_STRIDE)) for shift in shifts}
    assert along <= {0, PITCH, 2 * PITCH, 3 * PITCH} and {0, PITCH} <= along
    for index, one in enumerate(shifts):
        for other in shifts[:index]:
            apart = (one.voxels - other.voxels).abs().max()
            assert apart >= (STAGE.cells_apart - 1) * FEATURE_STRIDE  # a peak is refined by up to half a cell


def test_a_place_without_its_like_has_no_rival():
    reference = smooth(1)
    assert len(likely_shifts(reference, torch.zeros(3), memory_of(reference, box=INSIDE))) == 1


@pytest.mark.parametrize(
    ("ahead", "wins"), [(0.5 * STAGE.clearly_better, False), (1.5 * STAGE.clearly_better, True)]
)
def test_a_rival_is_taken_where_it_agrees_clearly_better(ahead, wins, monkeypatch):
    features, box = chain()
    memory, shown = memory_of(features, box=box), torch.ones(1, 20, 14, 12)
    first, rival, *_ = likely_shifts(features, torch.zeros(3), memory, shown)
    embedding = TaskEmbedding(("x",), torch.zeros(1, 2, 4), (memory,), torch.ones(1, 1), torch.zeros(4))

    def place_score(correspondence, coarse, fine, offset, one, settings) -> float:
        return 0.4 + ahead * torch.equal(one.offset[0], -rival.voxels)

    monkeypatch.setattr(rivals, "place_score", place_score)
    for levels, taken in (((features[None], None), rival if wins else first), ((features[None],), first)):
        query = SimpleNamespace(levels=levels, offset=torch.zeros(3), shown=shown)
        found = align(query, embedding, DEFAULTS)
        (chosen,) = rivals.settle_rivals(
            SimpleNamespace(correspondence=None), query, embedding, found, DEFAULTS
        )
        assert chosen.matched == taken.matched
        assert torch.equal(placed(embedding, [chosen]).memories[0].offset[0], -taken.voxels)
