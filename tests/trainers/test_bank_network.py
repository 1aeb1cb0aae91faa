"""The network with its memory bank, as nnU-Net's predictor meets it, and iris_core's way to the same mask."""

from __future__ import annotations

import itertools

import torch

from iris_core.bank.memory_bank import MemoryBank
from iris_core.inference.even_windows import even_starts, gaussian
from iris_core.preprocessing.grid import label_map
from iris_core.segmenter import Segmenter
from nnunet_trainers.training.bank_network import NEVER, BankNetwork
from tests.tiny import PLAIN, network, noise, scene

NAMES = ("one", "two", "three")


def bank_network(order=(0, 1, 2), config=None, seen=(0, 2)) -> BankNetwork:
    iris = network(config) if config else network()
    bank = MemoryBank(NAMES, iris.config.context_tokens, iris.config.channels[-1])
    for k in seen:
        bank.update([k], noise(1, iris.config.context_tokens + 1, iris.config.channels[-1], seed=k))
    return BankNetwork(iris, bank, order).eval()


def test_background_is_zero_and_a_class_never_seen_is_never_drawn():
    with torch.no_grad():
        logits = bank_network()(noise(2, 1, 32, 32, 48))
    assert logits.shape == (2, 4, 32, 32, 48)
    assert (logits[:, 0] == 0).all() and (logits[:, 2] == NEVER).all()
    assert torch.equal(logits[0].argmax(0), torch.from_numpy(label_map(logits[0, 1:], [1, 2, 3]).astype(int)))


def test_the_axes_of_the_plans_change_nothing_but_the_axes():
    image, order = noise(1, 1, 48, 32, 32), (2, 0, 1)
    back = (1, 2, 0)
    with torch.no_grad():
        ours = bank_network()(image)
        theirs = bank_network(order)(image.permute(0, 1, *(2 + axis for axis in back)))
    assert torch.allclose(theirs.permute(0, 1, *(2 + axis for axis in order)), ours, atol=1e-5)


def test_a_window_of_any_size_comes_back_in_its_size():
    with torch.no_grad():
        assert bank_network(config=PLAIN)(noise(1, 1, 20, 40, 33)).shape == (1, 4, 20, 40, 33)


def test_the_banks_tokens_stand_in_only_for_classes_it_has_seen():
    own, tokens = bank_network(), noise(1, 4, 4, 32, seed=9)
    mixed = own.banked(torch.tensor([[0, 1, 2, -1]]), tokens)
    assert torch.equal(mixed[0, 0], own.bank.tokens[0]) and torch.equal(mixed[0, 2], own.bank.tokens[2])
    assert torch.equal(mixed[0, 1], tokens[0, 1]) and torch.equal(mixed[0, 3], tokens[0, 3])


def test_one_window_gives_the_networks_own_logits():
    own, (image, _) = bank_network(), scene()
    runner = Segmenter(own.iris, window=(32, 32, 32), even_windows=True)
    found = runner.segment(image, own.bank.embedding(["one", "three"]))
    with torch.no_grad():
        assert torch.allclose(found, own(image[None])[0, [1, 3]], atol=1e-5)


def test_blended_windows_are_the_weighted_mean_of_single_ones():
    own, image = bank_network(config=PLAIN), noise(1, 40, 32, 30)
    task = own.bank.embedding(["one"])
    segmenter = Segmenter(own.iris, window=(32, 32, 32), even_windows=True)
    found = segmenter.segment(image, task)
    assert found.shape == (1, 40, 32, 30)
    padded = torch.nn.functional.pad(image, (1, 1))
    first, last = (segmenter.segment(padded[:, cut], task)[0] for cut in (slice(0, 32), slice(8, 40)))
    a, b = gaussian((32, 32, 32))[10, 16, 16], gaussian((32, 32, 32))[2, 16, 16]
    expected = (a * first[10, 16, 16] + b * last[2, 16, 16]) / (a + b)
    assert torch.allclose(found[0, 10, 16, 15], expected, atol=1e-5)


def test_windows_are_spread_evenly_and_end_with_the_axis():
    assert even_starts(32, 32, 0.5) == [0]
    assert even_starts(110, 64, 0.5) == [0, 23, 46]  # nnU-Net's own example
    for length in range(32, 140):
        starts = even_starts(length, 32, 0.5)
        steps = [b - a for a, b in itertools.pairwise(starts)]
        assert starts[0] == 0 and starts[-1] == length - 32 and all(step <= 16 for step in steps)


def test_weights_are_largest_in_the_middle_and_nowhere_zero():
    weight = gaussian((16, 32, 48))
    assert weight.argmax() == weight[8, 16, 24].new_tensor(8 * 32 * 48 + 16 * 48 + 24).long()
    assert weight.min() > 0
