"""One step of episodic training: what the decoder is given, what counts in the loss, what the bank keeps."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from iris_core.bank.memory_bank import MemoryBank
from nnunet_trainers.episodes.episode import Episode, LabelledBatch, collate
from nnunet_trainers.training.bank_network import BankNetwork
from nnunet_trainers.training.episode_step import counts, decode_episodes, draw_source, loss_of, remember
from nnunet_trainers.training.settings import TrainerSettings
from tests.tiny import SIDE, network, noise, scene

NAMES = ("bright", "dark", "never")


def bank_network(momentum: float = 0.9) -> BankNetwork:
    iris = network()
    return BankNetwork(
        iris, MemoryBank(NAMES, iris.config.context_tokens, iris.config.channels[-1], momentum)
    )


def episode(seed: int = 0, classes: tuple[int, ...] = (0, 1)) -> Episode:
    (image, masks), (other, truth) = scene(seed), scene(seed + 1, shift=2)
    chosen = list(classes)
    ignored = torch.zeros(1, SIDE, SIDE, SIDE, dtype=torch.bool)
    return Episode(
        image, masks[chosen] > 0, other, truth[chosen] > 0, ignored, torch.zeros(3), torch.zeros(3), classes,
        "boxes",
    )  # fmt: skip


def test_episodes_with_fewer_classes_are_filled_with_what_is_not_valid():
    batch = collate([episode(), episode(2, (1,))])
    assert batch.classes.tolist() == [[0, 1], [1, -1]]
    assert batch.valid.tolist() == [[True, True], [True, False]]
    again = LabelledBatch.of_mapping({**batch.to_mapping(), "keys": "left out"})
    assert torch.equal(again.query_mask, batch.query_mask)


def test_the_shares_of_what_a_step_is_given_are_those_of_the_settings():
    settings, rng = TrainerSettings(without_memory=0.4, from_bank=0.25), np.random.default_rng(0)
    drawn = Counter(draw_source(rng, settings) for _ in range(4000))
    shares = [drawn[source] / 4000 for source in ("reference", "tokens", "bank")]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.02)


def test_a_step_on_the_bank_does_not_look_at_the_reference():
    own, batch = bank_network(), collate([episode()])
    own.bank.update([0, 1], noise(2, 4, 32, seed=5))
    other = collate([episode(7)])
    for name in ("query_image", "query_mask", "query_offset"):
        setattr(other, name, getattr(batch, name))
    with torch.no_grad():
        logits = {
            source: [decode_episodes(own, b, source)[0].logits for b in (batch, other)]
            for source in ("reference", "tokens", "bank")
        }
    assert torch.equal(*logits["bank"])
    assert not torch.equal(*logits["tokens"]) and not torch.equal(*logits["reference"])
    assert not torch.equal(logits["tokens"][0], logits["reference"][0])


@torch.no_grad()
def test_what_lies_under_the_ignore_label_changes_neither_loss_nor_counts():
    own, batch = bank_network(), collate([episode()])
    batch.ignored[..., :11] = True  # the sixth cell of the evidence is ignored in half
    batch.query_mask[..., :11] = 0
    decoded, _ = decode_episodes(own, batch, "reference")
    assert {"similarity", "propagated", "warped"} <= set(decoded.evidence.maps)
    before = loss_of(decoded, batch), counts(decoded.logits, batch, 3)
    decoded.logits[..., :11] = 50.0
    for maps in decoded.evidence.maps.values():
        maps[..., :6] = 0.7
    after = loss_of(decoded, batch), counts(decoded.logits, batch, 3)
    decoded.evidence.maps["warped"][..., 6:] = 0.7
    assert not torch.equal(loss_of(decoded, batch), after[0])
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])


def test_counts_are_those_of_the_masks():
    batch = collate([episode(), episode(2, (1,))])
    logits = torch.full_like(batch.query_mask, -1.0)
    logits[0, 0], logits[1, 0] = batch.query_mask[0, 0] * 2 - 1, 1.0
    tp, fp, fn = counts(logits, batch, 3)
    voxels = batch.query_mask.flatten(2).sum(-1)
    assert tp.tolist() == [voxels[0, 0], voxels[1, 0], 0]
    assert fp.tolist() == [0, SIDE**3 - voxels[1, 0], 0]
    assert fn.tolist() == [0, voxels[0, 1], 0]


def test_the_bank_is_a_moving_average_computed_by_hand():
    own, first, second = bank_network(0.9), collate([episode()]), collate([episode(3), episode(5, (1,))])
    a, b = noise(1, 2, 4, 32, seed=1), noise(2, 2, 4, 32, seed=2)
    remember(own, first, a)
    remember(own, second, b)
    bright = 0.9 * a[0, 0] + 0.1 * b[0, 0]
    dark = 0.9 * (0.9 * a[0, 1] + 0.1 * b[0, 1]) + 0.1 * b[1, 0]
    assert torch.allclose(own.bank.tokens[:2], torch.stack([bright, dark]), atol=1e-6)
    assert own.bank.seen.tolist() == [True, True, False]


def _rank(rank: int, meeting: str, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    own = bank_network()
    for step in range(2):
        mine = collate([episode(2 * step + rank, ((0, 1), (1,))[rank])])  # ranks differ in their classes
        remember(own, mine, noise(1, 2 - rank, 4, 32, seed=10 * step + rank))
    torch.save(own.bank.state_dict(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_ranks_give_the_bank_that_one_rank_gives(tmp_path):
    multiprocessing.spawn(_rank, (str(tmp_path / "meet"), str(tmp_path)), nprocs=2)
    alone = bank_network()
    for step in range(2):
        for rank, classes in enumerate(((0, 1), (1,))):
            tokens = noise(1, 2 - rank, 4, 32, seed=10 * step + rank)
            remember(alone, collate([episode(2 * step + rank, classes)]), tokens)
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(found["tokens"], alone.bank.tokens)
        assert torch.equal(found["seen"], alone.bank.seen)
