"""Laws of the segmenter: volumes of any size, windows that agree, references encoded once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from iris_core.errors import InputError
from iris_core.inference.bias import class_biases
from iris_core.segmenter import Segmenter
from iris_core.windows.windows import pad
from tests.tiny import PLAIN, QUICK, boxes, network, noise, scene, without

NAMES = ("bright", "dark")
WINDOW = (32, 32, 32)


def segmenter(window: tuple[int, int, int] = WINDOW, **options) -> Segmenter:
    return Segmenter(network(), window=window, **QUICK | options)


@pytest.mark.parametrize("shape", [(9, 20, 30), (32, 32, 32), (33, 20, 40)])
def test_a_query_of_any_size_is_segmented_on_its_own_grid(shape):
    runner = segmenter()
    task = runner.encode(*scene(), NAMES)
    seen = []
    logits = runner.segment(noise(1, *shape), task, lambda done, total: seen.append((done, total)))
    assert logits.shape == (2, *shape) and bool(logits.isfinite().all())
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1] == (len(seen), len(seen))


@pytest.mark.parametrize(("window", "overlap"), [((48, 48, 48), 0.5), ((80, 48, 32), 0.25)])
def test_progress_reaches_its_total_with_any_window(window, overlap):
    runner, seen = segmenter(window, overlap=overlap, **without("mirroring")), []
    task = replace(runner.encode(*scene(), NAMES), names=("all",), memories=(), weights=None)
    runner.decode = lambda features, *_: features
    runner.features = lambda part: part[None]
    runner.segment(noise(1, 130, 90, 70), task, lambda *at: seen.append(at), whole=False)
    assert seen[-1][0] == seen[-1][1] == len(seen)


def test_overlapping_windows_know_where_they_are_and_are_blended_to_one_map():
    """Every window answers with the position of its voxels from the volume's centre; so must the whole."""
    runner, shape = segmenter(**without("mirroring")), (70, 33, 50)

    def position(features, embedding, offset):
        axes = [torch.arange(n) - (n - 1) / 2 + float(o) for n, o in zip(WINDOW, offset[0], strict=True)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]

    runner.decode = position
    runner.features = lambda part: None
    task = segmenter().encode(*scene(), NAMES)
    task = replace(task, names=("i", "j", "k"), memories=(), weights=None)
    logits = runner.segment(torch.zeros(1, *shape), task, whole=False)
    expected = torch.meshgrid(*(torch.arange(n) - (n - 1) / 2 for n in shape), indexing="ij")
    torch.testing.assert_close(logits, torch.stack(expected), atol=1e-3, rtol=1e-4)


def test_segmenting_twice_gives_the_same_bits():
    runner = segmenter()
    task, query = runner.encode(*scene(), NAMES), noise(1, 40, 32, 32)
    assert torch.equal(runner.segment(query, task), runner.segment(query, task))


def test_any_number_of_queries_encodes_the_reference_once():
    runner = segmenter()
    task = runner.encode(*scene(), NAMES)
    for seed in range(3):
        runner.segment(noise(1, 32, 32, 32, seed=seed), task)
    assert runner.encode_calls == 1


def test_all_classes_of_a_query_share_one_pass_through_the_encoder():
    runner = segmenter(**without("mirroring"))
    masks = boxes(2)
    task = runner.encode(scene()[0], masks, NAMES)
    calls = []
    encode = runner.model.encode_image
    runner.model.encode_image = lambda image: calls.append(image.shape) or encode(image)
    runner.segment(noise(1, 32, 32, 32), task)
    assert len(calls) == 1


def test_an_empty_mask_is_refused_by_name():
    image, masks = scene()
    with pytest.raises(InputError, match=r"^dark: no voxel of the class is left"):
        segmenter().encode(image, masks * torch.tensor([1.0, 0.0]).view(2, 1, 1, 1), NAMES)


def long_scene():
    """A class along the first axis of a volume of two and a half windows, and a small one at its end."""
    image, masks = noise(1, 80, 32, 32), torch.zeros(2, 80, 32, 32)
    masks[0, 2:78, 10:20, 8:16] = 1
    masks[1, 70:76, 22:30, 20:28] = 1
    return image, masks


def test_a_class_that_lies_across_windows_is_remembered_whole():
    image, masks = long_scene()
    near, far = (segmenter(window).encode(image, masks, NAMES) for window in (WINDOW, (80, 32, 32)))
    pooled = (F.avg_pool3d(masks[None], 2) * 255).round() / 255
    for task in (near, far):
        assert torch.equal(task.memories[0].masks, pooled)
        assert torch.equal(task.memories[0].offset, torch.zeros(1, 3))
    assert near.memories[0].features.shape == far.memories[0].features.shape == (1, 8, 20, 8, 8)
    assert bool(near.tokens.isfinite().all())


@pytest.mark.parametrize("config", [PLAIN, None], ids=["paper", "extended"])
def test_tokens_of_a_long_reference_are_the_mean_of_its_windows_by_the_volume_of_the_class(config):
    image, masks = long_scene()
    runner = Segmenter(network(config) if config else network(), window=WINDOW)
    task = runner.encode(image, masks, NAMES)
    parts = [slice(s, s + 32) for s in (0, 16, 32, 48)]
    volumes = torch.stack([masks[:, part].sum((1, 2, 3)) for part in parts])  # (4, K)
    with torch.no_grad():
        tokens = [
            runner.model.encode_tokens(runner.model.encode_image(image[None, :, p]), masks[None, :, p])[0]
            for p in parts
        ]
    expected = (torch.stack(tokens) * volumes[..., None, None]).sum(0) / volumes.sum(0)[:, None, None]
    torch.testing.assert_close(task.tokens, expected, atol=2e-3, rtol=2e-3)  # kept as float16


def test_a_large_reference_is_cut_to_its_labelled_region_and_remembers_where_that_was():
    image, masks = noise(1, 160, 32, 32), torch.zeros(1, 160, 32, 32)
    masks[0, 120:128, 8:20, 8:20] = 1
    (memory,) = segmenter().encode(image, masks, ["end"]).memories
    cells = memory.masks.shape[2]
    assert cells < 80
    centre = (
        memory.masks[0, 0].sum((1, 2)) * (torch.arange(cells) - (cells - 1) / 2)
    ).sum() / memory.masks.sum()
    assert float(centre * 2 + memory.offset[0, 0]) == pytest.approx(124 - 80, abs=1e-3)


def test_a_reference_smaller_than_a_window_remembers_its_true_centre():
    image, masks = noise(1, 21, 32, 32), torch.zeros(1, 21, 32, 32)
    masks[0, 4:8] = 1
    (memory,) = segmenter().encode(image, masks, ["slab"]).memories
    profile = memory.masks[0, 0].sum((1, 2))
    centre = (profile * (torch.arange(16) - 7.5)).sum() / profile.sum() * 2 + memory.offset[0, 0]
    assert float(centre) == pytest.approx(6 - 10.5, abs=1e-2)


def test_the_image_vector_is_the_mean_of_the_deepest_map():
    runner, image = segmenter((64, 64, 64)), noise(1, 30, 32, 40)
    with torch.no_grad():
        deepest = runner.model.encode_image(pad(image)[0][None]).maps[-1]
    torch.testing.assert_close(runner.image_vector(image), deepest.mean((0, 2, 3, 4)))
    torch.testing.assert_close(
        runner.encode(image, (image > 1).float(), ["x"]).image,
        deepest.mean((0, 2, 3, 4)),
        atol=1e-3,
        rtol=1e-3,
    )


def test_a_class_alone_brings_the_landmarks_of_all_that_is_labelled():
    """So that a query is aligned alike whichever of the classes are asked for."""
    runner, (image, masks) = segmenter(), scene()
    anything = masks.amax(0, keepdim=True)
    among, alone = runner.encode(image, masks, NAMES), runner.encode(image, masks[:1], NAMES[:1], anything)
    assert torch.equal(among.memories[0].landmarks, alone.memories[0].landmarks)
    lonely = runner.encode(image, masks[:1], NAMES[:1])
    assert not torch.equal(among.memories[0].landmarks, lonely.memories[0].landmarks)


def coarse_features(runner: Segmenter, image: torch.Tensor) -> torch.Tensor | None:
    with torch.no_grad():
        return runner.encode_query(image, runner.encode(*scene(), NAMES)).coarse


def test_features_of_one_window_are_what_it_shows_and_those_of_several_cover_all():
    runner, image = segmenter(), noise(1, 32, 32, 32)
    shown = runner.model.encode_image(image[None]).pyramid[1][0]
    assert torch.allclose(coarse_features(runner, image), shown, atol=1e-5)
    coarse = coarse_features(runner, noise(1, 70, 33, 50))
    assert coarse.shape[1:] == (20, 12, 16) and bool((coarse != 0).any(0).all())
    assert coarse_features(segmenter(**without("mirroring", "alignment")), image) is None


def test_a_reference_s_biases_come_from_its_own_decoding_and_move_a_query_s_logits():
    runner, (image, masks) = segmenter(), scene()
    plain = runner.tokens_of(image, masks, NAMES)
    assert plain.bias.abs().max() == 0 and plain.memories[0].edges is None
    expected = class_biases(runner.segment(image, plain, whole=False), masks)
    calibrated = runner.encode(image, masks, NAMES)
    assert torch.equal(calibrated.bias, expected) and expected.abs().max() > 0
    query, told = noise(1, 40, 33, 32), torch.tensor([[1.5, -2.0]])
    moved = replace(plain, memories=(replace(plain.memories[0], bias=told),))
    before, after = (runner.segment(query, one, whole=False) for one in (plain, moved))
    assert torch.allclose(after - before, told[0][:, None, None, None], atol=1e-4)
