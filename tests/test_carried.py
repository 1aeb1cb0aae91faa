"""Laws of carried masks: where edges say nothing the decoder decides; where they agree both count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from iris_core.model.carried import SHARE, Carried, CarriedMean, fused
from iris_core.segmenter import Segmenter
from tests.tiny import boxes, network, noise, scene

LOGITS = 2 * noise(1, 2, 8, 8, 8)


def carried(trust: float, seed: int = 1, value: float | None = None) -> Carried:
    masks = (noise(1, 2, 8, 8, 8, seed=seed) > 0).float() if value is None else torch.full_like(LOGITS, value)
    return Carried(masks, torch.full((1, 1, 8, 8, 8), trust))


def test_without_trust_the_decoder_s_logits_stay_to_the_last_bit():
    assert torch.equal(fused(LOGITS, carried(0.0)), LOGITS)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_with_trust_a_voxel_moves_towards_the_mask_and_never_past_it(value):
    little, much = (fused(LOGITS, carried(trust, value=value)).sigmoid() for trust in (0.3, 0.9))
    start = LOGITS.sigmoid()
    assert bool(((much - value).abs() < (little - value).abs()).all())
    assert bool(((little - value).abs() < (start - value).abs()).all())
    torch.testing.assert_close(much, start + 0.9 * SHARE * (value - start), atol=1e-4, rtol=0)


def mean_of(parts: list[Carried], weights: Tensor) -> Carried:
    mean = CarriedMean()
    for index, part in enumerate(parts):
        mean.add(part, weights[..., index])
    return mean.result()


def test_the_mean_of_like_references_is_any_of_them_and_one_that_was_not_compared_changes_nothing():
    one, unseen = carried(0.6), Carried(torch.ones_like(LOGITS), torch.zeros(1, 1, 8, 8, 8))
    for parts in ([one, one, one], [one, unseen], [unseen, one]):
        found = mean_of(parts, torch.ones(1, 2, len(parts)))
        torch.testing.assert_close(found.masks, one.masks)
        torch.testing.assert_close(found.trust, one.trust.expand_as(found.trust))


def test_a_class_listens_to_the_references_that_hold_it():
    first, second = carried(0.6, seed=1), carried(0.6, seed=2)
    found = mean_of([first, second], torch.tensor([[[1.0, 0.0], [0.5, 0.5]]]))
    torch.testing.assert_close(found.masks[:, 0], first.masks[:, 0])
    torch.testing.assert_close(found.masks[:, 1], (first.masks + second.masks)[:, 1] / 2)


def test_a_class_trusts_the_references_that_hold_it_alone():
    """The only holder of the first class was not compared; the other lends it no trust."""
    unseen, agreeing = carried(0.0, seed=1), carried(0.9, seed=2)
    found = mean_of([unseen, agreeing], torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]))
    assert torch.equal(fused(LOGITS, found)[:, 0], LOGITS[:, 0])
    assert not torch.equal(fused(LOGITS, found)[:, 1], LOGITS[:, 1])


def test_the_reference_whose_edges_agree_better_counts_more():
    found = mean_of([carried(0.9, value=1.0), carried(0.3, value=0.0)], torch.ones(1, 2, 2))
    assert float(found.masks.min()) > 0.9


def test_nothing_added_is_nothing():
    assert CarriedMean().result() is None


NAMES = ("a", "b")


def segmenter(**known) -> Segmenter:
    return Segmenter(network(), window=(32, 32, 32), **known)


def test_a_reference_carries_its_own_outlines_onto_itself():
    runner, (image, masks) = segmenter(), scene()
    embedding = runner.encode(image, masks, NAMES, calibrate=False).to("cpu")
    features = runner.model.encode_image(image[None])
    with torch.no_grad():
        found = runner.model._evidence(features, embedding.memories, None, None, 12, 8).carried
    inside = found.masks[0] > 0.5
    for mask, one in zip(masks > 0.5, inside, strict=True):
        assert 2 * int((mask & one).sum()) / int(mask.sum() + one.sum()) > 0.9
    assert float(found.trust[0, 0][masks.amax(0) > 0.5].mean()) > 0.6


def test_outlines_do_not_depend_on_which_classes_are_asked_for():
    runner, (image, masks), (query, _) = segmenter(), scene(), scene(seed=3, shift=1)
    whole = runner.encode(image, masks, NAMES)
    both = runner.segment(query, whole)
    torch.testing.assert_close(runner.segment(query, whole.select(["b"]))[0], both[1], atol=1e-2, rtol=0)


def test_without_steps_or_without_edges_nothing_is_carried():
    runner, (image, masks), (query, _) = segmenter(edge_steps=0), scene(), scene(seed=3, shift=1)
    whole = runner.encode(image, masks, NAMES)
    bare = replace(whole.memories[0], edges=None, outlines=None, aside=None)
    plain = segmenter().segment(query, replace(whole, memories=(bare,)))
    assert torch.equal(runner.segment(query, whole), plain)
    assert not torch.equal(segmenter().segment(query, whole), plain)


def test_a_mask_outside_the_surroundings_of_what_is_labelled_gets_no_trust():
    runner, masks = segmenter(), boxes(1)
    embedding = runner.encode(scene()[0], masks, ("a",), calibrate=False)
    empty = replace(embedding.memories[0], landmarks=torch.zeros_like(embedding.memories[0].landmarks))
    with torch.no_grad():
        features = runner.model.encode_image(noise(1, 1, 32, 32, 32))
        found = runner.model._evidence(features, (empty,), None, None, 0, 8).carried
    assert not found.trust.any() and not found.masks.any()
