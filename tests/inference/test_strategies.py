"""Laws of the inference strategies: each is a way to a task embedding, and the simple ones are limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from iris_core.errors import InputError
from iris_core.segmenter import Segmenter
from iris_core.strategies import ensemble, one_shot, retrieve_by_image, retrieve_by_object, tune
from iris_core.strategies.tuning import Example
from iris_core.task.embedding import TaskEmbedding, stored_precision
from iris_core.training.losses import segmentation_loss
from tests.tiny import QUICK, network, scene

NAMES = ("bright", "dark")
WINDOW = (32, 32, 32)


class FirstPass(Segmenter):
    """A segmenter whose masks are given, so that what retrieval makes of them is tested alone."""

    def __init__(self, masks: Tensor) -> None:
        super().__init__(network(), window=WINDOW, **QUICK)
        self.logits = masks * 2 - 1

    def segment(self, image: Tensor, embedding: TaskEmbedding, progress=None, whole=True) -> Tensor:
        return self.logits


@pytest.fixture(scope="module")
def runner() -> Segmenter:
    return Segmenter(network(), window=WINDOW, **QUICK)


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Tensor, Tensor]]:
    """Five scenes that differ in noise, in place and in brightness."""
    found = [scene(seed, shift=seed) for seed in range(5)]
    return [(image * (1 + 0.3 * n), masks) for n, (image, masks) in enumerate(found)]


@pytest.fixture(scope="module")
def pool(runner, scenes) -> list[TaskEmbedding]:
    return [runner.encode(image, masks, NAMES) for image, masks in scenes]


def same(a: TaskEmbedding, b: TaskEmbedding) -> bool:
    return a.names == b.names and torch.equal(a.tokens, b.tokens) and same_memories(a, b)


def same_memories(a: TaskEmbedding, b: TaskEmbedding) -> bool:
    pairs = list(zip(a.memories, b.memories, strict=True))
    held = [(m.tensors(), n.tensors()) for m, n in pairs]
    return all(m.keys() == n.keys() and all(torch.equal(m[key], n[key]) for key in m) for m, n in held)


def test_an_ensemble_of_one_is_one_shot(pool):
    both = [strategy(pool[:1], NAMES) for strategy in (ensemble, one_shot)]
    assert same(both[0][0], both[1][0]) and both[0][1] == both[1][1] == {"bright": [0], "dark": [0]}


def test_one_shot_takes_each_class_from_the_first_reference_that_holds_it(pool):
    partial = [pool[0].select(["dark"]), pool[1], pool[2]]
    embedding, chosen = one_shot(partial, NAMES)
    assert chosen == {"bright": [1], "dark": [0]}
    assert torch.equal(embedding.tokens, torch.stack([pool[1].tokens[0], pool[0].tokens[1]]))


def test_an_ensemble_is_the_mean_over_the_holders(pool):
    embedding, chosen = ensemble([pool[0].select(["dark"]), pool[1], pool[2]], NAMES)
    assert chosen == {"bright": [1, 2], "dark": [0, 1, 2]}
    torch.testing.assert_close(embedding.tokens[0], (pool[1].tokens[0] + pool[2].tokens[0]) / 2)
    torch.testing.assert_close(embedding.tokens[1], sum(e.tokens[1] for e in pool[:3]) / 3)


@pytest.mark.parametrize("strategy", [one_shot, ensemble])
def test_a_class_that_nobody_holds_is_refused_by_name(pool, strategy):
    with pytest.raises(InputError, match=r"^spleen: no reference holds the class"):
        strategy(pool, ["bright", "spleen"])


@pytest.mark.parametrize("index", range(5))
def test_retrieval_by_object_finds_the_identical_reference(pool, scenes, index):
    image, masks = scenes[index]
    embedding, chosen = retrieve_by_object(FirstPass(masks), pool, NAMES, image)
    assert chosen == {"bright": [index], "dark": [index]}
    assert same(embedding, one_shot(pool[index : index + 1], NAMES)[0])


def test_retrieval_by_object_chooses_for_each_class_on_its_own(pool, scenes):
    image, masks = scenes[1]
    mixed = [
        TaskEmbedding(NAMES, torch.stack([pool[1].tokens[0], -pool[1].tokens[1]])),
        TaskEmbedding(NAMES, torch.stack([-pool[1].tokens[0], pool[1].tokens[1]])),
    ]
    assert retrieve_by_object(FirstPass(masks), mixed, NAMES, image)[1] == {"bright": [0], "dark": [1]}


def test_retrieval_takes_the_share_of_the_pool_that_it_is_told(pool, scenes):
    chosen = retrieve_by_object(FirstPass(scenes[2][1]), pool, NAMES, scenes[2][0], share=0.5)[1]
    assert all(len(where) == 3 and where[0] == 2 for where in chosen.values())


def test_an_empty_first_mask_falls_back_to_the_ensemble(pool, scenes):
    image, masks = scenes[0]
    nothing = retrieve_by_object(FirstPass(masks * 0), pool, NAMES, image)
    assert same(nothing[0], ensemble(pool, NAMES)[0]) and nothing[1] == ensemble(pool, NAMES)[1]
    half = retrieve_by_object(
        FirstPass(masks * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1)), pool, NAMES, image
    )
    assert half[1] == {"bright": [0], "dark": [0, 1, 2, 3, 4]}


def test_the_query_s_own_masks_do_not_count_as_encoded_references(pool, scenes):
    runner = FirstPass(scenes[0][1])
    retrieve_by_object(runner, pool, NAMES, scenes[0][0])
    assert runner.encode_calls == 0


@pytest.mark.parametrize("index", [0, 3])
def test_retrieval_by_image_finds_the_same_image(runner, pool, scenes, index):
    assert retrieve_by_image(runner, pool, NAMES, scenes[index][0])[1] == {"bright": [index], "dark": [index]}


def test_retrieval_is_the_same_for_the_same_seed(runner, pool, scenes):
    runs = [retrieve_by_object(runner, pool, NAMES, scenes[4][0], seed=3) for _ in range(2)]
    assert runs[0][1] == runs[1][1] and same(runs[0][0], runs[1][0])


def tuned(runner: Segmenter, pool, scenes, count: int, steps: int, seed: int = 0):
    examples = [Example(image, masks, NAMES) for image, masks in scenes[:count]]
    return tune(runner, pool[:count], examples, NAMES, steps=steps, seed=seed)


@pytest.mark.parametrize("count", [1, 3])
def test_tuning_for_no_steps_gives_the_start_back(runner, pool, scenes, count):
    result = tuned(runner, pool, scenes, count, steps=0)
    start = stored_precision(ensemble(pool[:count], NAMES)[0])
    assert torch.equal(result.embedding.tokens, start.tokens)
    assert result.steps == 0 and result.before == result.after


@pytest.fixture(scope="module")
def learned(runner, pool, scenes):
    """Tuning on three references, and the network's parameters before it."""
    before = {name: p.clone() for name, p in runner.model.state_dict().items()}
    return tuned(runner, pool, scenes, 3, steps=15), before


def test_tuning_changes_the_tokens_and_nothing_else(runner, pool, learned):
    result, before = learned
    start = ensemble(pool[:3], NAMES)[0]
    assert not torch.equal(result.embedding.tokens, start.tokens)
    assert same_memories(result.embedding, start) and torch.equal(result.embedding.weights, start.weights)
    assert all(torch.equal(p, before[name]) for name, p in runner.model.state_dict().items())
    assert all(p.grad is None for p in runner.model.parameters())


def test_tuning_lowers_the_loss_of_its_references_and_raises_the_held_back_dice(
    runner, pool, scenes, learned
):
    result, _ = learned
    assert result.after > result.before
    start, everywhere = ensemble(pool[:3], NAMES)[0], torch.ones(1, 2, dtype=torch.bool)
    for image, masks in scenes[:2]:
        losses = [
            segmentation_loss(runner.segment(image, task)[None], masks[None], everywhere, everywhere)
            for task in (start, result.embedding)
        ]
        assert losses[1] < losses[0]


def test_tuning_is_the_same_for_the_same_seed(runner, pool, scenes):
    runs = [tuned(runner, pool, scenes, 2, steps=2, seed=1).embedding for _ in range(2)]
    assert same(*runs)


def test_tuning_copes_with_references_that_hold_different_classes(runner, pool, scenes):
    examples = [Example(scenes[0][0], scenes[0][1][:1], NAMES[:1]), Example(*scenes[1], NAMES)]
    partial = [pool[0].select(NAMES[:1]), pool[1]]
    assert tune(runner, partial, examples, NAMES, steps=2).embedding.names == NAMES


def test_a_class_that_one_reference_alone_holds_is_not_answered_by_its_own_outlines(runner, scenes):
    """The held-back reference alone holds the second class: its memory takes part, its borders do not."""
    (image, masks), (other, others) = scenes[:2]
    pool = [runner.encode(image, masks[:1], NAMES[:1]), runner.encode(other, others, NAMES)]
    examples = [Example(image, masks[:1], NAMES[:1]), Example(other, others, NAMES)]
    bare = [pool[0], *(replace(e, memories=(e.memories[0].without_borders(),)) for e in pool[1:])]
    before, without = (tune(runner, [replace(e, mirror=None) for e in some], examples, NAMES, steps=0).before
                       for some in (pool, bare))  # fmt: skip
    assert pool[1].memories[0].edges is not None and before == without
