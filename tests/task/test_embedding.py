"""Laws of TaskEmbedding: selection, mixtures, similarity, rounding."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch

from iris_core.errors import InputError
from iris_core.inference.evidence import Comparison
from iris_core.inference.pair_fit.reference_edges import reference_edges
from iris_core.inference.settings import DEFAULTS
from iris_core.task.embedding import TaskEmbedding, combine, stored_precision
from tests.tiny import SIDE, boxes, network, noise


def embedding(names: tuple[str, ...] = ("a", "b", "c"), seed: int = 0) -> TaskEmbedding:
    """As a network makes it, rounded as a card keeps it."""
    model = network()
    masks = boxes(len(names))[None]
    with torch.no_grad():
        features = model.encode_image(noise(1, 1, SIDE, SIDE, SIDE, seed=seed))
        tokens = model.encode_tokens(features, masks)[0]
        memory = model.encode_memory(features, masks, torch.full((1, 3), float(seed)))
    labelled = masks[0].amax(0, keepdim=True)
    memory = replace(memory, **reference_edges(features.image[0], torch.cat([masks[0], labelled])))
    whole = TaskEmbedding(
        names, tokens, (memory,), torch.ones(len(names), 1), features.maps[-1].mean((0, 2, 3, 4))
    )
    return stored_precision(whole)


def assert_same(a: TaskEmbedding, b: TaskEmbedding) -> None:
    assert a.names == b.names and len(a.memories) == len(b.memories)
    torch.testing.assert_close(a.tokens, b.tokens)
    torch.testing.assert_close(a.weights, b.weights)
    for own, other in zip(a.memories, b.memories, strict=True):
        for field in fields(own):
            torch.testing.assert_close(getattr(own, field.name), getattr(other, field.name))


def test_select_takes_classes_by_name_in_the_order_given():
    whole = embedding()
    part = whole.select(["c", "a"])
    assert part.names == ("c", "a")
    assert torch.equal(part.tokens, whole.tokens[[2, 0]])
    assert torch.equal(part.memories[0].masks, whole.memories[0].masks[:, [2, 0]])
    assert torch.equal(part.memories[0].prototypes, whole.memories[0].prototypes[:, [2, 0]])
    assert part.weights.shape == (2, 1)
    assert_same(whole.select(whole.names), whole)


def test_selecting_an_unknown_class_names_it_and_the_known_ones():
    with pytest.raises(InputError, match=r"^spleen: no such class in the task; expected a, b, c$"):
        embedding().select(["a", "spleen"])


def test_cosine_is_one_with_itself_and_symmetric():
    one, other = embedding(seed=0), embedding(seed=1)
    assert one.cosine(one) == pytest.approx({"a": 1, "b": 1, "c": 1})
    assert one.cosine(other) == pytest.approx(other.cosine(one))
    assert max(one.cosine(other).values()) < 1


def test_cosine_compares_classes_by_name_and_only_those_that_both_hold():
    one = embedding()
    turned = one.select(["c", "b"])
    assert one.cosine(turned) == pytest.approx({"b": 1, "c": 1})


def test_cosine_of_hand_made_tokens():
    one = TaskEmbedding(("a",), torch.tensor([[[2.0, 0.0], [0.0, 0.0]]]))  # mean (1, 0)
    other = TaskEmbedding(("a",), torch.tensor([[[3.0, 3.0], [3.0, 3.0]]]))
    assert one.cosine(other)["a"] == pytest.approx(0.5**0.5)


def test_combining_one_embedding_gives_it_back():
    one = embedding()
    assert_same(combine([one], {name: [3.0] for name in one.names}), one)


def test_combining_equal_embeddings_gives_the_same_answer_as_one():
    one = embedding()
    three = combine([one] * 3, {name: [1, 1, 1] for name in one.names})
    torch.testing.assert_close(three.tokens, one.tokens)
    torch.testing.assert_close(three.weights, torch.full((3, 3), 1 / 3))
    model = network()
    compared = Comparison(model, DEFAULTS.without("feature_fit", "edge_fit")).with_all
    with torch.no_grad():
        query = model.encode_image(noise(1, 1, SIDE, SIDE, SIDE, seed=5))
        logits = [
            model.decode(query, e.tokens[None], compared(query, e.memories, e.weights[None]).evidence).logits
            for e in (one, three)
        ]
    torch.testing.assert_close(*logits, atol=1e-4, rtol=1e-4)


def test_combined_tokens_are_the_weighted_mean():
    one, other = embedding(seed=0), embedding(seed=1)
    mixed = combine([one, other], {"a": [1, 3], "b": [1, 0]})
    torch.testing.assert_close(mixed.tokens[0], 0.25 * one.tokens[0] + 0.75 * other.tokens[0])
    torch.testing.assert_close(mixed.tokens[1], one.tokens[1])
    torch.testing.assert_close(mixed.weights, torch.tensor([[0.25, 0.75], [1.0, 0.0]]))


def test_classes_of_different_references_are_joined_by_name():
    one, other = embedding(("a", "b"), seed=0), embedding(("b", "c"), seed=1)
    mixed = combine([one, other], {"a": [1, 0], "b": [1, 1], "c": [0, 1]})
    torch.testing.assert_close(mixed.tokens[1], (one.tokens[1] + other.tokens[0]) / 2)
    torch.testing.assert_close(mixed.weights, torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]))
    assert torch.equal(mixed.memories[1].masks[:, [1, 2]], other.memories[0].masks)
    assert not mixed.memories[1].masks[:, 0].any()


def test_a_reference_that_no_class_listens_to_leaves_no_memory():
    one, other = embedding(seed=0), embedding(seed=1)
    assert len(combine([one, other], {"a": [0, 1]}).memories) == 1


@pytest.mark.parametrize("shares", [{"a": [0, 0]}, {"c": [1, 0]}, {"d": [1, 1]}])
def test_a_class_without_a_holder_is_refused(shares):
    pool = [embedding(("a", "b")), embedding(("b", "c"))]
    with pytest.raises(InputError, match=f"^{next(iter(shares))}: no reference holds the class"):
        combine(pool, shares)


def test_rounding_twice_is_rounding_once():
    once = embedding()
    twice = stored_precision(once)
    held = once.memories[0].tensors()
    for name, value in twice.memories[0].tensors().items():
        assert torch.equal(held.pop(name), value), name
    assert not held
    assert torch.equal(once.tokens, twice.tokens) and torch.equal(once.image, twice.image)


def test_rounding_stays_near_what_was_rounded():
    whole = embedding()
    shifted = replace(whole, tokens=whole.tokens + 1e-5)
    torch.testing.assert_close(stored_precision(shifted).tokens, whole.tokens, atol=1e-3, rtol=1e-3)
