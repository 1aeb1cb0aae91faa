"""Laws of what the long run asks of embeddings: alike in two people, and silent about size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from iris_core.training.pretraining.contrast import contrast_loss
from iris_core.training.pretraining.nuisance import VolumeProbe
from iris_core.training.synthesis import synthesise
from tests.tiny import noise

CLASSES = 4


def apart() -> torch.Tensor:
    """(2, K, D, H, W): a pair of people with structures that do not overlap."""
    masks = torch.zeros(2, CLASSES, 16, 16, 16)
    for k in range(CLASSES):
        masks[:, k, 4 * k : 4 * k + 3] = 1
    return masks


def loss(
    vectors: torch.Tensor, masks: torch.Tensor | None = None, known: torch.Tensor | None = None
) -> float:
    known = torch.ones(2, CLASSES, dtype=torch.bool) if known is None else known
    return contrast_loss(vectors, apart() if masks is None else masks, known).item()


def test_embeddings_that_agree_between_people_and_differ_between_structures_cost_nothing():
    right = torch.eye(CLASSES).expand(2, -1, -1)
    assert loss(right) < 1e-6
    assert loss(torch.stack([right[0], right[1].roll(1, 0)])) > 10
    assert loss(torch.ones(2, CLASSES, CLASSES)) > 1


def test_length_says_nothing_and_unknown_structures_take_no_part():
    vectors = noise(2, CLASSES, 8, seed=1)
    assert loss(3 * vectors) == pytest.approx(loss(vectors), abs=1e-4)
    known = torch.ones(2, CLASSES, dtype=torch.bool)
    known[0, 0] = False
    other = vectors.clone()
    other[:, 0] = noise(2, 8, seed=2)
    assert loss(vectors, known=known) == pytest.approx(loss(other, known=known), abs=1e-5)
    assert loss(vectors, known=torch.zeros_like(known)) == 0


def test_a_structure_of_equal_size_is_the_harder_rival():
    masks = apart()
    masks[:, 1, :, 8:] = 0
    masks[:, 1, 5:] = 0  # far smaller than the others
    vectors = torch.eye(CLASSES).expand(2, -1, -1).clone()

    def mixed_up(k: int) -> float:
        wrong = vectors.clone()
        wrong[:, k] = F.normalize(vectors[:, k] + vectors[:, 0], dim=-1)
        return loss(wrong, masks)

    assert mixed_up(2) > mixed_up(1)


def test_two_tasks_that_ask_for_the_same_are_no_rivals():
    masks = apart()
    masks[:, 1] = masks[:, 0]
    vectors = torch.eye(CLASSES).expand(2, -1, -1).clone()
    vectors[:, 1] = vectors[:, 0]
    assert loss(vectors, masks) < 1e-6 < loss(vectors)


def test_the_probe_gives_the_share_of_variance_that_a_line_explains():
    probe, turn = VolumeProbe(6), noise(6, 6, seed=1)
    for step in range(200):
        volumes, rest = noise(80, seed=step), noise(80, 6, seed=1000 + step)
        rest[:, 0] = volumes + rest[:, 0]  # half of its variance
        found = probe.loss(rest @ turn, volumes)
    assert found.item() == pytest.approx(0.5, abs=0.08)
    blind = VolumeProbe(6)
    for step in range(200):
        found = blind.loss(noise(80, 6, seed=1000 + step), noise(80, seed=step))
    assert found.item() < 0.08


def test_embeddings_that_follow_its_gradient_forget_the_volume():
    weight = torch.nn.Parameter(torch.eye(6) + 0.3 * noise(6, 6, seed=3))
    probe, optimiser, found = VolumeProbe(6), torch.optim.Adam([weight], 0.02), []
    for step in range(300):
        volumes, rest = noise(80, seed=step), noise(80, 6, seed=1000 + step)
        rest[:, 0] = volumes + 0.3 * rest[:, 0]
        value = probe.loss(rest @ weight, volumes)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        found.append(value.item())
    assert found[20] > 0.6 and sum(found[-20:]) / 20 < 0.25


def test_a_pair_both_ways_makes_each_person_the_others_reference():
    shape, source = (16, 32, 16), torch.Generator().manual_seed(4)
    batch = synthesise(2, 3, shape, source, both_ways=True)
    assert batch.reference_image.shape[0] == len(batch.family) == 4
    assert batch.family[:2] == batch.family[2:]
    assert torch.equal(batch.query_image, batch.reference_image.roll(-2, 0))
    assert torch.equal(batch.query_offset, batch.reference_offset.roll(-2, 0))
    exact = batch.query_mask.roll(2, 0)  # what each reference truly shows
    both = (exact * batch.reference_mask).sum() / exact.sum()
    assert both > 0.7
    one_way = synthesise(2, 3, shape, torch.Generator().manual_seed(4))
    assert torch.equal(one_way.query_mask, batch.query_mask[:2])
