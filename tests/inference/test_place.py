"""Laws of the place: contrast does not count, far landmarks do, and a confirmed guess stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.place.align import Shift, moved
from iris_core.inference.place.coarse_fit import Affine, affine_of, centred, fitted
from iris_core.inference.place.descriptor import cells_of, whole_field
from iris_core.inference.place.settle import settle_places, settled
from iris_core.inference.place.shifts import all_shifts, likely_places
from iris_core.inference.settings import DEFAULTS
from iris_core.model.correspondence import warp_at
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory
from tests.tiny import noise

STAGE = DEFAULTS.place_search
CELL = torch.tensor([2.0, 2.0, 2.0])
NO_SHIFT = Shift(torch.zeros(3), True)
PITCH = 10  # voxels


def smooth(*shape: int, seed: int = 0) -> Tensor:
    """A smooth image (1, D, H, W)."""
    return F.avg_pool3d(noise(1, *(n + 4 for n in shape), seed=seed), 5, 1) * 10


def column(first: int, links: int = 6) -> Tensor:
    """(1, D, H, W): that many links that look alike, from a landmark below the first one on.

    Args:
        first: voxels above the landmark's lower end at which the image begins.
        links: in all.
    """
    link = smooth(PITCH, 24, 24, seed=1)
    body = torch.cat([smooth(12, 24, 24, seed=2), *[link] * links], dim=1)
    whole = body + 0.3 * smooth(*body.shape[1:], seed=3)
    return whole[:, first : first + 12 + 4 * PITCH]


def memory_of(image: Tensor, middle: int) -> ReferenceMemory:
    """A reference whose structure fills the voxels around `middle` along the first axis."""
    cells = [-(-n // FEATURE_STRIDE) for n in image.shape[1:]]
    landmarks = torch.zeros(1, 1, *cells)
    landmarks[:, :, (middle - 4) // FEATURE_STRIDE : (middle + 4) // FEATURE_STRIDE, 2:4, 2:4] = 1
    blank = torch.zeros(1, 1, 2, 2, 2)
    field = whole_field(image, (1.0, 1.0, 1.0), STAGE)
    return ReferenceMemory(
        blank, blank, blank, blank, landmarks, torch.zeros(1, 3), torch.zeros(1, 1), **field
    )


@pytest.mark.parametrize(("gain", "level"), [(3.0, 0.0), (0.5, 7.0), (-1.0, 0.0)])
def test_the_descriptor_knows_no_contrast(gain, level):
    image = smooth(20, 22, 24)
    there = cells_of(gain * image + level, CELL)
    assert there.shape == (1, 12, 10, 11, 12)
    assert torch.allclose(there, cells_of(image, CELL), atol=1e-3)


def test_cells_are_cubes_of_space_whatever_the_voxels_are():
    image = smooth(16, 32, 32)
    cell = whole_field(image, (4.0, 2.0, 2.0), STAGE)["field_cell"][0]
    assert torch.allclose(cell * torch.tensor([4.0, 2.0, 2.0]), (4 * cell[0]).expand(3), rtol=1e-3)


def test_all_shifts_say_what_comparing_cell_by_cell_says():
    query, reference = noise(2, 3, 4, 2, seed=1), noise(2, 4, 3, 3, seed=2)
    shifts = all_shifts(query, reference)
    for move, explained, cells in zip(shifts.moves, shifts.explained, shifts.cells, strict=True):
        values = []
        for x in torch.cartesian_prod(*(torch.arange(n) for n in query.shape[1:])):
            sides = torch.tensor(query.shape[1:]), torch.tensor(reference.shape[1:])
            y = (x - (sides[0] - 1) / 2 + move + (sides[1] - 1) / 2).round().long()
            if bool(((y >= 0) & (y < sides[1])).all()):
                values.append((query[(slice(None), *x)] - reference[(slice(None), *y)]).square().sum())
        assert len(values) == round(float(cells))
        assert float(explained) == pytest.approx(shifts.unlike - float(torch.stack(values).mean()), abs=1e-3)


def test_likely_places_are_apart_and_nearly_as_good_as_the_first():
    fields = [cells_of(column(first), CELL)[0] for first in (0, PITCH)]
    shifts = all_shifts(*fields)
    places = likely_places(shifts, fields[0][0].numel(), replace(STAGE, nearly_as_good=0.3))
    assert 1 < len(places) <= STAGE.most_places
    for index, one in enumerate(places):
        assert all((one - other).abs().max() >= STAGE.cells_apart for other in places[:index])
    assert len(likely_places(shifts, fields[0][0].numel(), replace(STAGE, nearly_as_good=1.0))) == 1


def test_a_coarse_fit_finds_an_affine_map_again():
    reference = cells_of(smooth(48, 48, 48), CELL)[0]
    true = Affine(torch.diag(torch.tensor([1.08, 0.95, 1.0])), torch.tensor([1.0, 0.0, -1.0]))
    image, size = smooth(48, 48, 48)[None], torch.tensor([24.0] * 3)
    places = true(centred(torch.Size([48] * 3)) / 2) / (size[:, None, None, None] / 2)
    turned = F.grid_sample(image, places.flip(0).permute(1, 2, 3, 0)[None], align_corners=False)
    query = cells_of(turned[0], CELL)[0]
    usual = all_shifts(query, reference).unlike
    start, errors = Affine(torch.eye(3), torch.zeros(3)), []
    for _ in range(2):
        fit = fitted(query, reference, start, usual, STAGE.fit_reach)
        start = affine_of(fit, usual)
        away = (fit.position - true(centred(query.shape[1:]))).norm(dim=0)
        errors.append(float(away[fit.inside].mean()))
    assert errors[1] < errors[0] < 1.0
    assert (start.matrix - true.matrix).abs().max() < 0.05 and (start.shift - true.shift).abs().max() < 0.3


@pytest.mark.parametrize("levels", [1, 2])
def test_far_landmarks_tell_one_link_from_the_next(levels):
    reference, query = column(0), column(levels * PITCH)
    memory = memory_of(reference, middle=12 + 3 * PITCH + 5)
    found = settled(query, memory, NO_SHIFT, STAGE)
    assert (found.voxels - torch.tensor([float(levels * PITCH), 0, 0])).abs().max() < 2
    assert found.matched


def test_a_wrong_guess_is_no_better_than_none():
    reference, query = column(0), column(PITCH)
    memory = memory_of(reference, middle=12 + 3 * PITCH + 5)
    for guess in (0.0, 2.0 * PITCH):
        found = settled(query, memory, Shift(torch.tensor([guess, 0, 0]), True), STAGE)
        assert abs(float(found.voxels[0]) - PITCH) < 2


def test_a_guess_that_the_place_confirms_stays_as_it_is():
    image = column(0)
    guess = Shift(torch.tensor([1.5, -0.5, 0.0]), True)
    assert settled(image, memory_of(image, middle=30), guess, STAGE) is guess


def test_in_a_query_of_too_many_cells_the_guess_counts():
    memory = memory_of(column(0), middle=30)
    few = replace(STAGE, most_cells=column(PITCH).numel() // 8 // 2)
    assert settled(column(PITCH), memory, NO_SHIFT, few) is NO_SHIFT


def test_without_the_stage_or_a_field_the_guess_counts():
    memory = memory_of(column(0), middle=30)
    blind = replace(memory, field=None, field_cell=None)
    for one, stage in ((memory, replace(STAGE, enabled=False)), (blind, STAGE)):
        assert settle_places(column(PITCH), [one], [NO_SHIFT], stage) == (NO_SHIFT,)


def test_in_the_mirror_the_same_place_lies_mirrored():
    memory = memory_of(column(0), middle=12 + 3 * PITCH + 5)
    found = settled(column(PITCH), memory, NO_SHIFT, STAGE)
    cells = noise(1, 3, 4, 5, 6) * 5
    one, other = (moved(memory, shift) for shift in (found, found.mirrored()))
    assert torch.allclose(other.offset, -one.offset)
    assert torch.allclose(warp_at(-cells, other), -warp_at(cells, one), atol=1e-4)
    assert warp_at(cells, one).abs().max() > 0
