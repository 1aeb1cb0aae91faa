"""Laws of the network as a whole: shapes, sizes, and what may not depend on what."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from iris_core.config import PRESETS, ModelConfig
from iris_core.errors import InputError
from iris_core.inference.evidence import Comparison
from iris_core.inference.settings import DEFAULTS
from iris_core.model.iris import Decoded, Iris
from iris_core.model.reference_memory import ReferenceMemory
from iris_core.training.losses import evidence_loss, segmentation_loss
from tests.tiny import EXTENDED, PLAIN, SIDE, boxes, network, noise

CONFIGS = pytest.mark.parametrize("config", [PLAIN, EXTENDED], ids=["paper", "extended"])
OFFSET = torch.zeros(1, 3)
UNFITTED = DEFAULTS.without("feature_fit", "edge_fit")


class Episode:
    """A reference, its masks and a query, encoded by one network."""

    def __init__(self, model: Iris, classes: int = 3, batch: int = 1) -> None:
        self.model = model
        self.masks = boxes(classes)[None].expand(batch, -1, -1, -1, -1)
        self.offset = OFFSET.expand(batch, -1)
        reference = model.encode_image(noise(batch, 1, SIDE, SIDE, SIDE, seed=1))
        self.tokens = model.encode_tokens(reference, self.masks)
        self.memory = model.encode_memory(reference, self.masks, self.offset)
        self.query = model.encode_image(noise(batch, 1, SIDE, SIDE, SIDE, seed=2))

    def decode(self, classes: list[int] | None = None) -> Decoded:
        where = list(range(self.tokens.shape[1])) if classes is None else classes
        tokens, evidence = self.tokens[:, where], None
        if self.memory is not None:
            evidence = self.model.compare(self.query, self.memory.select(where), self.offset)
        return self.model.decode(self.query, tokens, evidence)

    def together(self, memories: list[ReferenceMemory], weights: Tensor | None = None) -> Tensor:
        """Logits by several references."""
        compared = Comparison(self.model, UNFITTED).with_all(self.query, memories, weights, self.offset)
        return self.model.decode(self.query, self.tokens, compared.evidence).logits


def parameters(model: Iris) -> int:
    return sum(p.numel() for p in model.parameters())


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_the_paper_preset_has_the_paper_s_size_and_nothing_added():
    assert not PRESETS["paper"].extended
    with torch.device("meta"):
        assert parameters(Iris(PRESETS["paper"])) == pytest.approx(69.4e6, rel=0.05)


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_presets_for_shipped_weights_hold_at_most_19_million_parameters(name):
    with torch.device("meta"):
        assert parameters(Iris(PRESETS[name])) <= 19e6


def test_extensions_only_add_parameters():
    plain, extended = dict(network(PLAIN).named_parameters()), dict(network(EXTENDED).named_parameters())
    assert {k: v.shape for k, v in plain.items()}.items() <= {k: v.shape for k, v in extended.items()}.items()
    assert len(plain) < len(extended)


def test_heads_that_do_not_divide_the_channels_are_refused():
    with pytest.raises(InputError, match=r"attention_heads: .* expected a divisor of 32; found 5"):
        replace(PLAIN, attention_heads=5)


@CONFIGS
@torch.no_grad()
def test_every_output_has_the_stated_shape(config):
    model = network(config)
    episode = Episode(model, classes=3, batch=2)
    assert [m.shape[1:] for m in episode.query.maps] == [
        (c, SIDE // s, SIDE // s, SIDE // s) for c, s in zip(config.channels, (1, 2, 4, 8, 16), strict=True)
    ]
    assert episode.tokens.shape == (2, 3, config.context_tokens + 1, config.channels[-1])
    decoded = episode.decode()
    assert decoded.logits.shape == (2, 3, SIDE, SIDE, SIDE)
    assert bool(decoded.logits.isfinite().all())
    assert (episode.memory is not None) == config.extended == bool(decoded.evidence.maps)


@torch.no_grad()
def test_each_extension_works_alone():
    for name in ("similarity", "correspondence", "place"):
        decoded = Episode(network(replace(PLAIN, **{name: True})), classes=2).decode()
        assert decoded.logits.shape == (1, 2, SIDE, SIDE, SIDE), name


@torch.no_grad()
def test_sides_need_not_be_equal():
    model = network()
    query = model.encode_image(noise(1, 1, 32, 48, 64))
    episode = Episode(model, classes=2)
    evidence = model.compare(query, episode.memory)
    assert model.decode(query, episode.tokens, evidence).logits.shape == (1, 2, 32, 48, 64)


@torch.no_grad()
def test_evidence_of_a_class_is_the_same_alone_and_among_others():
    episode = Episode(network())
    together = episode.decode().evidence.maps
    for k in range(3):
        for name, alone in episode.decode([k]).evidence.maps.items():
            own = together[name][:, k : k + 1] if together[name].shape[1] == 3 else together[name]
            close(alone, own)


@CONFIGS
@torch.no_grad()
def test_logits_of_a_class_are_close_alone_and_among_others(config):
    episode = Episode(network(config))
    together = episode.decode().logits
    for k in range(3):
        alone = episode.decode([k]).logits[:, 0]
        apart = (alone - together[:, k]).abs().mean() / together[:, k].std()
        assert apart < 0.01, f"class {k} moved by {apart:.3f} of its spread"


@CONFIGS
@torch.no_grad()
def test_another_order_of_classes_gives_the_same_maps_in_that_order(config):
    episode = Episode(network(config))
    close(episode.decode([2, 0, 1]).logits, episode.decode().logits[:, [2, 0, 1]])


@CONFIGS
@torch.no_grad()
def test_an_episode_does_not_depend_on_the_others_of_its_batch(config):
    model = network(config)
    images = noise(2, 1, SIDE, SIDE, SIDE, seed=3)
    masks = torch.stack([boxes(2), boxes(2).flip(1)])

    def logits(where: slice) -> Tensor:
        features, offset = model.encode_image(images[where]), OFFSET.expand(2, -1)[where]
        memory = model.encode_memory(features, masks[where], offset)
        tokens = model.encode_tokens(features, masks[where])
        evidence = model.compare(features, memory, offset) if memory else None
        return model.decode(features, tokens, evidence).logits

    close(torch.cat([logits(slice(0, 1)), logits(slice(1, 2))]), logits(slice(0, 2)))


@torch.no_grad()
def test_a_memory_of_weight_zero_has_no_influence():
    model = network()
    episode = Episode(model)
    other = model.encode_memory(episode.query, episode.masks.flip(2), OFFSET + 5)
    weights = torch.tensor([1.0, 0.0]).expand(1, 3, 2)
    mixed = episode.together([episode.memory, other], weights)
    close(mixed, episode.decode().logits)
    assert (episode.together([episode.memory, other]) - mixed).abs().max() > 1e-3


@torch.no_grad()
def test_two_identical_memories_count_like_one():
    episode = Episode(network())
    close(episode.together([episode.memory] * 2), episode.decode().logits)


@torch.no_grad()
def test_an_extended_network_decodes_tokens_without_a_memory():
    episode = Episode(network())
    decoded = episode.model.decode(episode.query, episode.tokens)
    assert decoded.logits.shape == (1, 3, SIDE, SIDE, SIDE) and decoded.evidence.maps == {}
    assert bool(decoded.logits.isfinite().all())


@CONFIGS
@torch.no_grad()
def test_decoding_encodes_no_image(config, monkeypatch):
    episode = Episode(network(config))

    def refuse(*_: object) -> None:
        pytest.fail("the encoder ran while decoding")

    for part in ("encoder", "task_encoder", "matching"):
        if hasattr(episode.model, part):
            monkeypatch.setattr(getattr(episode.model, part), "forward", refuse)
    episode.decode()


# Layers that no forward pass uses: self-attention has no context to normalise, and the finest level of the
# matching pyramid is not smoothed.
IDLE = ("task_encoder.self_attention.norm_context.", "matching.smooth.0.")


@CONFIGS
def test_a_training_step_reaches_every_parameter(config: ModelConfig):
    model = network(config).train()
    target = boxes(3)[None].roll(2, dims=2)
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    decoded = Episode(model).decode()
    loss = segmentation_loss(decoded.logits, target, everywhere, everywhere)
    (loss + evidence_loss(decoded.evidence.maps, target, everywhere, everywhere)).backward()
    unreached = {n for n, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())}
    assert {n for n in unreached if not n.startswith(IDLE)} == set()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
