"""Laws of the memory bank (Eq. 7)."""

from __future__ import annotations

import pytest
import torch

from iris_core.bank.memory_bank import MemoryBank
from iris_core.checkpoint import load_model, save_model
from iris_core.config import MEMORY_MOMENTUM
from iris_core.errors import CheckpointError, InputError
from tests.tiny import EXTENDED, SIDE, network, noise

NAMES = ("liver", "spleen", "kidney")
TOKENS, CHANNELS = EXTENDED.context_tokens, EXTENDED.channels[-1]


def bank(momentum: float = MEMORY_MOMENTUM) -> MemoryBank:
    return MemoryBank(NAMES, TOKENS, CHANNELS, momentum)


def tokens(seed: int) -> torch.Tensor:
    return noise(TOKENS + 1, CHANNELS, seed=seed)


def test_the_first_embedding_fills_the_entry():
    own = bank()
    own.update(["spleen"], tokens(1)[None])
    assert torch.equal(own.tokens[1], tokens(1)) and own.seen.tolist() == [False, True, False]
    assert not own.tokens[[0, 2]].any()


def test_later_embeddings_move_it_by_equation_7():
    own = bank()
    for seed in (1, 2, 3):
        own.update([1], tokens(seed)[None])
    by_hand = 0.999 * (0.999 * tokens(1) + 0.001 * tokens(2)) + 0.001 * tokens(3)
    torch.testing.assert_close(own.tokens[1], by_hand)


def test_a_batch_counts_in_its_order():
    one, other = bank(0.5), bank(0.5)
    batch = torch.stack([tokens(1), tokens(2), tokens(3)])
    one.update(["liver", "kidney", "liver"], batch)
    for name, seed in (("liver", 1), ("kidney", 2), ("liver", 3)):
        other.update([name], tokens(seed)[None])
    assert torch.equal(one.tokens, other.tokens)
    torch.testing.assert_close(one.tokens[0], (tokens(1) + tokens(3)) / 2)


def test_an_entry_takes_no_part_in_gradients_and_copies_what_it_gives():
    own = bank()
    own.update(["liver"], tokens(1)[None].requires_grad_())
    assert not own.tokens.requires_grad and not list(own.parameters())
    own.embedding(["liver"]).tokens.zero_()
    assert own.tokens[0].any()


def test_its_embedding_segments_without_a_reference():
    own, model = bank(), network()
    own.update(["liver", "kidney"], torch.stack([tokens(1), tokens(2)]))
    task = own.embedding(["kidney", "liver"])
    assert task.names == ("kidney", "liver") and task.memories == ()
    assert torch.equal(task.tokens, torch.stack([tokens(2), tokens(1)]))
    with torch.no_grad():
        query = model.encode_image(noise(1, 1, SIDE, SIDE, SIDE))
        assert model.decode(query, task.tokens[None]).logits.shape == (1, 2, SIDE, SIDE, SIDE)


def test_it_survives_a_checkpoint(tmp_path):
    own, path = bank(0.9), tmp_path / "model.safetensors"
    own.update(["kidney"], tokens(4)[None])
    save_model(path, network(), {"steps": 1, **own.meta()}, extra=own.state())
    loaded = load_model(path)
    again = MemoryBank.restored(loaded.state, loaded.meta)
    assert again.names == NAMES and again.momentum == 0.9
    assert torch.equal(again.tokens, own.tokens) and torch.equal(again.seen, own.seen)


def test_a_checkpoint_without_a_bank_is_told():
    with pytest.raises(CheckpointError, match="holds no memory bank"):
        MemoryBank.restored({}, {"steps": 1})


def test_a_class_that_training_never_saw_is_told():
    with pytest.raises(InputError, match=r"^liver, kidney: training never saw the class"):
        own = bank()
        own.update(["spleen"], tokens(0)[None])
        own.embedding(["liver", "spleen", "kidney"])


@pytest.mark.parametrize("which", ["heart", 3, -1])
def test_a_class_outside_the_bank_is_told(which):
    with pytest.raises(
        InputError, match=f"^{which}: no such class in the memory bank; expected liver, spleen"
    ):
        bank().update([which], tokens(0)[None])


def test_an_embedding_of_another_network_is_told():
    with pytest.raises(InputError, match=r"^tokens: .*expected shape \(4, 32\); found shape \(4, 64\)"):
        bank().update(["liver"], torch.zeros(1, TOKENS + 1, 64))


def test_a_name_that_stands_twice_is_told():
    with pytest.raises(InputError, match="stands twice"):
        MemoryBank(["liver", "liver"], TOKENS, CHANNELS)
