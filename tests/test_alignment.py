"""One shift between two fields of view, found from features alone."""

from __future__ import annotations

import pytest
import torch

from iris_core.alignment import field_shift
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory

ANATOMY = torch.randn(6, 16, 14, 12, generator=torch.Generator().manual_seed(3))


def memory_of(features: torch.Tensor, offset=(0.0, 0.0, 0.0)) -> ReferenceMemory:
    d, h, w = features.shape[1:]
    masks, prototypes = torch.zeros(1, 1, 2 * d, 2 * h, 2 * w), torch.zeros(1, 1, 4, 2, 6)
    fine = torch.zeros(1, 3, 2 * d, 2 * h, 2 * w)
    return ReferenceMemory(features[None], fine, masks, prototypes, torch.tensor([offset]))


@pytest.mark.parametrize(("axis", "cut"), [(0, 5), (1, 4), (2, 4)])
@pytest.mark.parametrize("end", ["first", "last"])
def test_a_cropped_query_is_moved_to_where_its_places_lie(axis, cut, end):
    length = ANATOMY.shape[axis + 1]
    query = ANATOMY.narrow(axis + 1, cut if end == "first" else 0, length - cut)
    expected = torch.zeros(3)
    expected[axis] = cut / 2 * FEATURE_STRIDE * (1 if end == "first" else -1)
    assert torch.allclose(field_shift(query, torch.zeros(3), memory_of(ANATOMY)), expected)


def test_the_same_field_of_view_is_not_moved():
    assert field_shift(ANATOMY, torch.zeros(3), memory_of(ANATOMY)).abs().max() == 0


def test_volumes_with_nothing_in_common_are_not_moved():
    other = torch.randn(ANATOMY.shape, generator=torch.Generator().manual_seed(4))
    assert field_shift(other, torch.zeros(3), memory_of(ANATOMY)).abs().max() == 0


def test_offsets_of_both_grids_are_taken_into_account():
    """A grid that says it lies elsewhere in its field of view is moved back to where it matches."""
    told = torch.tensor([8.0, 0.0, -4.0])
    assert torch.allclose(field_shift(ANATOMY, told, memory_of(ANATOMY)), -told)
    assert torch.allclose(field_shift(ANATOMY, torch.zeros(3), memory_of(ANATOMY, told.tolist())), told)
