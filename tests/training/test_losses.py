"""Laws of the training losses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from iris_core.training.losses import (
    SMOOTHNESS,
    evidence_loss,
    segmentation_loss,
    smoothness_loss,
    soft_dice,
)
from tests.tiny import boxes, noise

YES, NO = torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, dtype=torch.bool)
SURE = 20.0


def target() -> Tensor:
    return boxes(2)[None]


def logits_of(mask: Tensor) -> Tensor:
    return SURE * (2 * mask - 1)


def test_soft_dice_of_a_hand_computed_volume():
    probability = torch.tensor([1.0, 0.5, 0.0, 0.0]).view(1, 1, 1, 1, 4)
    mask = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 1, 1, 4)
    # overlap 1.5; (2 * 1.5 + 1) / (1.5 + 2 + 1) = 4 / 4.5
    assert soft_dice(probability, mask).item() == pytest.approx(1 - 4 / 4.5)


def test_soft_dice_is_taken_per_sample_and_class():
    masks = boxes(2)
    pair = torch.stack([masks, masks.flip(0)])
    torch.testing.assert_close(soft_dice(pair, pair), torch.zeros(2, 2))


def test_a_perfect_answer_costs_nothing():
    assert segmentation_loss(logits_of(target()), target(), YES, YES).item() == pytest.approx(0, abs=1e-4)


def test_the_opposite_answer_costs_most():
    wrong = segmentation_loss(logits_of(1 - target()), target(), YES, YES)
    assert wrong > segmentation_loss(torch.zeros_like(target()), target(), YES, YES) > 1


def test_an_empty_answer_is_right_where_the_class_is_absent():
    nothing = torch.zeros_like(target())
    empty = segmentation_loss(logits_of(nothing), nothing, YES, NO)
    some = segmentation_loss(logits_of(target()), nothing, YES, NO)
    full = segmentation_loss(logits_of(nothing + 1), nothing, YES, NO)
    assert empty.item() == pytest.approx(0, abs=1e-4)
    assert empty < some < full


def test_a_class_that_the_reference_lacks_is_ignored():
    valid = torch.tensor([[True, False]])
    logits = noise(*target().shape)
    other = torch.cat([logits[:, :1], logits[:, 1:] * -3 + 5], dim=1)
    torch.testing.assert_close(
        segmentation_loss(logits, target(), valid, YES), segmentation_loss(other, target(), valid, YES)
    )
    assert segmentation_loss(logits, target(), NO, YES).item() == 0


def test_losses_of_half_precision_logits_stay_finite():
    for logits in (logits_of(target()).half() * 1000, logits_of(1 - target()).bfloat16() * 1000):
        assert bool(segmentation_loss(logits, target(), YES, YES).isfinite())


@pytest.mark.parametrize("name", ["propagated", "warped"])
def test_evidence_that_is_the_mask_costs_less_than_evidence_that_is_not(name):
    coarse = torch.nn.functional.avg_pool3d(target(), 2)[:, :, None]
    right = evidence_loss({name: coarse}, target(), YES, YES)
    wrong = evidence_loss({name: 1 - coarse}, target(), YES, YES)
    assert right.item() == pytest.approx(0, abs=0.05) and wrong > 10 * right.clamp_min(0.02)


def test_evidence_of_an_ignored_class_costs_nothing():
    maps = {"similarity": noise(1, 2, 4, 16, 16, 16), "warped": noise(1, 2, 1, 16, 16, 16).sigmoid()}
    assert evidence_loss(maps, target(), NO, YES).item() == 0
    assert evidence_loss({}, target(), YES, YES).item() == 0


def test_only_a_displacement_that_changes_from_cell_to_cell_costs():
    shift, fold = torch.ones(1, 3, 16, 16, 16), torch.zeros(1, 3, 2, 1, 1)
    fold[:, 0, 1] = 2  # one step of 2 along the first axis, none along the others
    assert smoothness_loss([shift]).item() == 0 == smoothness_loss([]).item()
    assert smoothness_loss([fold.expand(-1, -1, -1, 4, 4)]).item() == pytest.approx(SMOOTHNESS * 4 / 3)
