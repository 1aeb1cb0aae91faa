"""Laws of carried masks: where edges say nothing the decoder decides; where they agree both count."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from iris_core.inference.pair_fit.transfer import Box, TransferredMasks, TransferredMean, join
from iris_core.inference.settings import DEFAULTS
from iris_core.segmenter import Segmenter
from tests.tiny import boxes, network, noise, scene

STAGE = DEFAULTS.edge_fit
SHARE = STAGE.most_trusted
LOGITS = 2 * noise(1, 2, 8, 8, 8)
EVERYWHERE = (slice(0, 8),) * 3


def carried(trust: float, seed: int = 1, value: float | None = None) -> TransferredMasks:
    masks = (noise(1, 2, 8, 8, 8, seed=seed) > 0).float() if value is None else torch.full_like(LOGITS, value)
    return TransferredMasks(masks, torch.full((1, 1, 8, 8, 8), trust), EVERYWHERE)


def cut(part: TransferredMasks, box: Box) -> TransferredMasks:
    """A part of it."""
    return TransferredMasks(part.masks[(..., *box)], part.trust[(..., *box)], box)


def fused(logits: Tensor, part: TransferredMasks) -> Tensor:
    logits = logits.clone()
    join(logits, part, SHARE)
    return logits


def test_without_trust_the_decoder_s_logits_stay_to_the_last_bit():
    assert torch.equal(fused(LOGITS, carried(0.0)), LOGITS)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_with_trust_a_voxel_moves_towards_the_mask_and_never_past_it(value):
    little, much = (fused(LOGITS, carried(trust, value=value)).sigmoid() for trust in (0.3, 0.9))
    start = LOGITS.sigmoid()
    assert bool(((much - value).abs() < (little - value).abs()).all())
    assert bool(((little - value).abs() < (start - value).abs()).all())
    torch.testing.assert_close(much, start + 0.9 * SHARE * (value - start), atol=1e-4, rtol=0)


def mean_of(parts: list[TransferredMasks], weights: Tensor) -> TransferredMasks:
    mean = TransferredMean(STAGE)
    for index, part in enumerate(parts):
        mean.add(part, weights[..., index])
    return mean.result()


def test_the_mean_of_like_references_is_any_of_them_and_one_that_was_not_compared_changes_nothing():
    one, unseen = carried(0.6), replace(carried(0.0), masks=torch.ones_like(LOGITS))
    for parts in ([one, one, one], [one, unseen], [unseen, one]):
        found = mean_of(parts, torch.ones(1, 2, len(parts)))
        torch.testing.assert_close(found.masks, one.masks)
        torch.testing.assert_close(found.trust, one.trust.expand_as(found.trust))


BOXES = (slice(0, 5), slice(2, 8), slice(1, 4)), (slice(3, 7), slice(0, 3), slice(2, 8))


def test_beyond_its_box_nothing_changes_and_within_it_all_is_as_everywhere():
    one, inside = carried(0.6), torch.zeros(8, 8, 8, dtype=torch.bool)
    inside[BOXES[0]] = True
    found, whole = fused(LOGITS, cut(one, BOXES[0])), fused(LOGITS, one)
    torch.testing.assert_close(found[..., inside], whole[..., inside])
    assert torch.equal(found[..., ~inside], LOGITS[..., ~inside])


def test_the_mean_of_parts_in_boxes_is_that_of_parts_without_trust_beyond_them():
    parts, filled = [], []
    for seed, box in enumerate(BOXES):
        whole = carried(0.6, seed=seed)
        trust = torch.zeros_like(whole.trust)
        trust[(..., *box)] = 0.6
        parts.append(cut(whole, box))
        filled.append(replace(whole, trust=trust))
    weights = torch.tensor([[[0.7, 0.3], [0.2, 0.8]]])
    mean = mean_of(parts, weights)
    torch.testing.assert_close(fused(LOGITS, mean), fused(LOGITS, mean_of(filled, weights)))
    assert mean.box == (slice(0, 7), slice(0, 8), slice(1, 8))


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
    assert TransferredMean(STAGE).result() is None


NAMES = ("a", "b")


def segmenter(**known) -> Segmenter:
    return Segmenter(network(), window=(32, 32, 32), **known)


def test_a_reference_carries_its_own_outlines_onto_itself():
    runner, (image, masks) = segmenter(), scene()
    embedding = runner.encode(image, masks, NAMES).to("cpu")
    features = runner.model.encode_image(image[None])
    with torch.no_grad():
        found = runner.comparison.with_all(features, embedding.memories).transferred
    inside, drawn = found.masks[0] > 0.5, masks[(..., *found.box)] > 0.5
    assert int(drawn.sum()) == int((masks > 0.5).sum())
    for mask, one in zip(drawn, inside, strict=True):
        assert 2 * int((mask & one).sum()) / int(mask.sum() + one.sum()) > 0.9
    assert float(found.trust[0, 0][drawn.any(0)].mean()) > 0.6


def test_outlines_do_not_depend_on_which_classes_are_asked_for():
    runner, (image, masks), (query, _) = segmenter(), scene(), scene(seed=3, shift=1)
    whole = runner.encode(image, masks, NAMES)
    both = runner.segment(query, whole)
    torch.testing.assert_close(runner.segment(query, whole.select(["b"]))[0], both[1], atol=1e-2, rtol=0)


def test_without_steps_or_without_edges_nothing_is_carried():
    runner, (image, masks) = segmenter().changed("edge_fit.enabled=false", "mirroring.enabled=false"), scene()
    query, _ = scene(seed=3, shift=1)
    whole = runner.encode(image, masks, NAMES)
    bare = whole.memories[0].without_borders()
    plain = segmenter().segment(query, replace(whole, memories=(bare,)))
    assert torch.equal(runner.segment(query, whole), plain)
    assert not torch.equal(segmenter().segment(query, whole), plain)


def test_without_landmarks_nothing_is_carried():
    runner, masks = segmenter(), boxes(1)
    embedding = runner.encode(scene()[0], masks, ("a",))
    empty = replace(embedding.memories[0], landmarks=torch.zeros_like(embedding.memories[0].landmarks))
    with torch.no_grad():
        features = runner.model.encode_image(noise(1, 1, 32, 32, 32))
        found = runner.comparison.with_all(features, (empty,)).transferred
    assert found is None


def test_beyond_what_the_reference_keeps_of_its_edges_there_is_no_trust():
    runner, (image, masks) = segmenter(), scene()
    memory = runner.encode(image, masks, NAMES).memories[0]
    length, kept = memory.edges.shape[2], memory.edges.shape[2] // 2
    first = (image.shape[1] - length) / 2 + float(memory.aside[0, 0])  # of what is kept, along the first axis
    lower = torch.tensor([[(length - kept) / 2, 0.0, 0.0]])
    half = replace(
        memory,
        edges=memory.edges[:, :, :kept],
        outlines=memory.outlines[:, :, :kept],
        aside=memory.aside - lower,
    )
    with torch.no_grad():
        features = runner.model.encode_image(image[None])
        quick = runner.changed("edge_fit.edge_steps=1", "feature_fit.enabled=false")
        found = quick.comparison.with_all(features, (half,)).transferred
    drawn_from = int(first) + kept + 2 - found.box[0].start  # one step moves less than two voxels
    assert bool((found.trust[:, :, drawn_from - 6 : drawn_from - 4] > 0).any())
    assert not found.trust[:, :, drawn_from:].any()
