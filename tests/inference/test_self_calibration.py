"""Laws of the biases: what finds the reference best, and nothing where little is gained."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from iris_core.inference.bias import class_biases
from iris_core.inference.settings import DEFAULTS
from iris_core.task.embedding import TaskEmbedding, combine
from tests.tiny import boxes, network, noise

STAGE = DEFAULTS.bias


def overlap(mask: torch.Tensor, result: torch.Tensor) -> float:
    return float(2 * (mask & result).sum() / (mask.sum() + result.sum()))


def test_a_structure_that_reaches_no_logit_of_0_is_found_again():
    """Inside -1.5, outside -4: the least bias that finds it is the first above 1.5."""
    mask = boxes(1)
    assert class_biases(torch.where(mask > 0, -1.5, -4.0), mask).tolist() == [1.75]
    assert class_biases(torch.where(mask > 0, 4.0, 1.1), mask).tolist() == [-1.25]


@pytest.mark.parametrize("seed", range(4))
def test_no_bias_that_is_tried_finds_the_reference_better(seed):
    masks = boxes(2)
    logits = 3 * (masks - 1.2) + 1.5 * noise(*masks.shape, seed=seed)
    found = class_biases(logits, masks)
    for one, mask, bias in zip(logits, masks > 0.5, found.tolist(), strict=True):
        scores = [overlap(mask, one + tried > 0) - STAGE.bias_caution * abs(tried) for tried in STAGE.tried]
        assert bias in STAGE.tried and bias != 0
        found_best = overlap(mask, one + bias > 0) - STAGE.bias_caution * abs(bias)
        assert found_best == pytest.approx(max(scores), abs=1e-6)


def test_little_to_gain_changes_nothing_nor_does_a_mask_that_rounds_to_nothing():
    mask = boxes(1)
    logits = torch.where(mask > 0, 2.0, -2.0)
    first = tuple(int(i) for i in (mask > 0).nonzero()[0])
    logits[first] = -0.1  # one voxel of many
    assert 1 - overlap(mask > 0, logits > 0) < STAGE.least_gain
    assert class_biases(logits, mask).tolist() == [0.0]
    lost = torch.where(mask > 0, -1.5, -4.0)
    assert class_biases(lost, mask).tolist() != [0.0] and class_biases(lost, 0.4 * mask).tolist() == [0.0]


@pytest.mark.parametrize("logits", [torch.full((1, 32, 32, 32), -6.0), -6 + noise(1, 32, 32, 32)])
def test_a_bias_never_lets_in_far_more_than_the_class(logits):
    """Where the network knows nothing, calling everything the class would gain a little Dice."""
    found = class_biases(logits, boxes(1))
    most = STAGE.most_let_in * int(boxes(1).sum())
    assert not found.isfinite().all() or int((logits + found > 0).sum()) <= most


def test_a_reference_that_finds_too_much_is_not_made_worse():
    mask = boxes(1)
    logits = torch.full_like(mask, -4.0)
    logits[0, 4:21, 4:22, 4:26] = 1.0  # the class and far more
    logits[mask > 0] = torch.where(noise(int(mask.sum())) > 1.2, 3.0, 1.0)
    assert int((logits > 0).sum()) > STAGE.most_let_in * int(mask.sum())
    plain = overlap(mask > 0, logits > 0)
    found = class_biases(logits, mask)
    assert found.isfinite().all() and overlap(mask > 0, logits + found > 0) >= plain


def test_a_reference_that_tells_no_bias_leaves_it_to_the_others():
    assert class_biases(torch.full((1, 32, 32, 32), -30.0), boxes(1)).tolist() == [torch.inf]
    model = network()
    with torch.no_grad():
        memory = model.encode_memory(
            model.encode_image(noise(1, 1, 32, 32, 32)), boxes(1)[None], torch.zeros(1, 3)
        )
    pool = [
        TaskEmbedding(
            ("a",), torch.zeros(1, 4, 8), (replace(memory, bias=torch.tensor([[told]])),), torch.ones(1, 1)
        )
        for told in (6.0, torch.inf)
    ]
    assert combine(pool, {"a": [1, 1]}).bias.tolist() == [6.0]
    assert pool[1].bias.tolist() == [0.0]


def test_an_ensemble_takes_the_mean_of_its_references_biases_by_class():
    model, masks = network(), boxes(2)[None]
    image = noise(1, 1, 32, 32, 32)
    with torch.no_grad():
        memory = model.encode_memory(model.encode_image(image), masks, torch.zeros(1, 3))
    pool = []
    for biases, names in (((1.0, -2.0), ("a", "b")), ((3.0, 4.0), ("b", "c"))):
        one = type(memory)(**{**vars(memory), "bias": torch.tensor([biases])})
        pool.append(TaskEmbedding(names, torch.zeros(2, 4, 8), (one,), torch.ones(2, 1)))
    joined = combine(pool, {"a": [1, 0], "b": [1, 1], "c": [0, 1]})
    assert joined.bias.tolist() == [1.0, 0.5, 4.0]
    assert joined.select(["c", "a"]).bias.tolist() == [4.0, 1.0]
    assert TaskEmbedding(("a",), torch.zeros(1, 4, 8)).bias.tolist() == [0.0]
