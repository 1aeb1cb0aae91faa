"""Laws of the second pass in the mirror: what it averages, what it leaves alone, when it is left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from iris_core.inference.passes import PassResult, averaged, mirrored
from iris_core.inference.pipeline import Asked, PreparedQuery, segment_query
from iris_core.inference.settings import DEFAULTS
from iris_core.progress import halves
from iris_core.quality import dice_from_overlap, expected_dice, soft_overlap
from iris_core.segmenter import Segmenter
from iris_core.strategies.tuning import Example, tune
from iris_core.task.embedding import combine
from tests.tiny import PLAIN, QUICK, network, noise, scene, without

NAMES = ("bright", "dark")


def segmenter(**options) -> Segmenter:
    return Segmenter(network(), window=(32, 32, 32), **QUICK | options)


def test_a_mirror_shows_the_first_voxel_last_and_undoes_itself():
    volume = noise(2, 3, 4, 5)
    assert torch.equal(mirrored(volume)[:, 0, 0, 0], volume[:, -1, -1, -1])
    assert torch.equal(mirrored(mirrored(volume)), volume)


def blob(width: float) -> torch.Tensor:
    """(1, D, H, W): a ball whose border is the sharper the smaller the width."""
    axis = torch.linspace(-1, 1, 16)
    distance = sum(a**2 for a in torch.meshgrid(axis, axis, axis, indexing="ij")).sqrt()
    return ((0.6 - distance) / width)[None]


def mean(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Of two passes that both lie as the image does."""
    return both(one.clone(), mirrored(other)).logits


def both(one: torch.Tensor, other: torch.Tensor) -> PassResult:
    """The mean of two passes in full view."""
    passes = [PassResult(logits, torch.ones(len(logits))) for logits in (one, other)]
    return averaged(passes, DEFAULTS.fusion)


def test_the_average_is_that_of_probabilities_where_both_seem_as_good():
    one = blob(0.1) + 0.3 * noise(1, 16, 16, 16)
    other = mirrored(one)
    expected = (one.sigmoid() + other.sigmoid()) / 2
    torch.testing.assert_close(mean(one, other).sigmoid(), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(mean(other, one), mean(one, other))


def test_the_pass_that_seems_better_counts_more_and_nothing_found_counts_little():
    sharp, soft, nothing = blob(0.02), blob(1.0), torch.full((1, 16, 16, 16), -5.0)
    found = mean(sharp, soft).sigmoid()
    assert bool(((found - sharp.sigmoid()).abs() <= (found - soft.sigmoid()).abs() + 1e-4).all())
    assert torch.equal(mean(nothing, sharp) > 0, sharp > 0)


def test_sure_air_around_a_small_structure_stays_sure():
    """What is expected of a structure does not depend on how much else the query shows."""
    small = F.pad(blob(0.02), (56,) * 6, value=-20.0)  # 16^3 in 128^3 voxels
    before = expected_dice(small[0])
    assert expected_dice(mean(small, small)[0]) == pytest.approx(before, abs=0.01) and before > 0.85


def test_agreement_is_the_dice_of_both_passes_class_by_class():
    one = torch.tensor([[1.0, 1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]])[:, None, None]
    other = torch.tensor([[1.0, -1.0, -1.0], [1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]])[:, None, None]
    found = both(one, mirrored(other))
    assert found.pass_dice == pytest.approx((2 / 3, 1.0, float("nan")), nan_ok=True)
    assert found.expected([1, 1, 1])[2] == 0


def test_where_passes_agree_less_a_lower_dice_is_expected_of_the_same_result():
    runner, query = segmenter(), scene(seed=3, shift=1)[0]
    asked = Asked.of(runner.encode(*scene(), NAMES))
    maps = segment_query(runner, PreparedQuery.bare(query), asked).values()
    for one in maps:
        assert one.expected == dice_from_overlap(soft_overlap(one.logits), one.pass_dice)
    logits = torch.stack([one.logits for one in maps])
    found = PassResult(logits, torch.ones(2), tuple(one.pass_dice for one in maps))
    doubtful = replace(found, pass_dice=tuple(0.5 * alike for alike in found.pass_dice))
    assert all(a > b for a, b in zip(found.expected([1, 1]), doubtful.expected([1, 1]), strict=True))


@pytest.mark.parametrize("shape", [(30, 32, 27), (40, 32, 30)])
def test_mirrored_reference_and_query_give_the_mirrored_result(shape):
    runner, (image, masks), query = segmenter(), scene(), noise(1, *shape)
    runner = runner.changed("place_search.enabled=false")  # places are searched in the first pass alone
    there = runner.encode(mirrored(image), mirrored(masks), NAMES)
    found = runner.segment(query, runner.encode(image, masks, NAMES))
    torch.testing.assert_close(mirrored(runner.segment(mirrored(query), there)), found, atol=1e-3, rtol=1e-3)
    alone = segmenter(**without("mirroring"))
    one, other = (alone.encode(*pair, NAMES) for pair in ((image, masks), (mirrored(image), mirrored(masks))))
    seen = alone.segment(query, one)
    assert not torch.allclose(mirrored(alone.segment(mirrored(query), other)), seen, atol=0.1)


def test_without_mirroring_neither_encoding_nor_segmenting_does_it():
    (image, masks), query = scene(), noise(1, 32, 32, 32)
    runner, alone = segmenter(), segmenter(**without("mirroring"))
    whole, bare = runner.encode(image, masks, NAMES), alone.encode(image, masks, NAMES)
    assert bare.mirror is None and torch.equal(bare.tokens, whole.tokens)
    assert torch.equal(alone.segment(query, whole), alone.segment(query, bare))
    assert torch.equal(runner.segment(query, bare), alone.segment(query, bare))
    assert not torch.equal(runner.segment(query, whole), alone.segment(query, bare))


def test_the_paper_s_network_sees_everything_once():
    runner = Segmenter(network(PLAIN), window=(32, 32, 32))
    assert runner.encode(*scene(), NAMES).mirror is None


def test_choosing_and_mixing_treat_the_mirror_alike_and_a_mixture_has_one_where_all_have():
    one, other = (segmenter().encode(*scene(seed), NAMES) for seed in (0, 1))
    shares = {"dark": [1.0, 3.0]}
    mixed = combine([one, other], shares)
    assert torch.equal(mixed.mirror.tokens, combine([one.mirror, other.mirror], shares).tokens)
    assert one.select(["dark"]).mirror.names == ("dark",)
    bare = replace(other, mirror=None)
    assert combine([one, bare], shares).mirror is None
    assert torch.equal(combine([one, bare], {"dark": [1.0, 0.0]}).mirror.tokens, one.mirror.tokens[1:])


def test_each_pass_goes_to_the_device_without_the_other(monkeypatch):
    runner, query = segmenter(), noise(1, 32, 32, 32)
    task, moved = runner.encode(*scene(), NAMES), []
    to = type(task).to
    monkeypatch.setattr(type(task), "to", lambda self, device: moved.append(self.mirror) or to(self, device))
    runner.segment(query, task)
    assert moved == [None, None]


def test_both_passes_of_a_query_are_one_progress():
    runner, seen = segmenter(), []
    runner.segment(noise(1, 40, 32, 30), runner.encode(*scene(), NAMES), lambda *at: seen.append(at))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1)) and seen[-1] == (len(seen),) * 2


def test_two_halves_of_a_progress_read_as_one():
    seen = []
    for half in halves(lambda *at: seen.append(at)):
        for done in (1, 2):
            half(done, 2)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert halves(None) == (None, None)


def test_tuning_tunes_what_is_seen_in_the_mirror_by_itself():
    runner, pairs = segmenter(), [scene(seed, shift=seed) for seed in range(2)]
    pool = [runner.encode(*pair, NAMES) for pair in pairs]
    examples = [Example(image, masks, NAMES) for image, masks in pairs]
    turned = [Example(mirrored(image), mirrored(masks), NAMES) for image, masks in pairs]
    seen = []
    both = tune(runner, pool, examples, NAMES, steps=5, progress=lambda *at: seen.append(at))
    one = tune(runner, [replace(e, mirror=None) for e in pool], examples, NAMES, steps=5)
    other = tune(runner, [e.mirror for e in pool], turned, NAMES, steps=5)
    assert torch.equal(both.embedding.tokens, one.embedding.tokens)
    assert torch.equal(both.embedding.mirror.tokens, other.embedding.tokens)
    assert one.embedding.mirror is None and both.steps == one.steps + other.steps
    assert (both.before, both.after) == ((one.before + other.before) / 2, (one.after + other.after) / 2)
    assert seen[-1] == (10, 10)
