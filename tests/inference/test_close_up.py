"""Laws of the closer look: what is small is found first, then seen again from near."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from iris_core.inference.close_up import differ, enough_found, query_box, shown_volumes
from iris_core.inference.settings import DEFAULTS
from iris_core.preprocessing.grid import make_grid
from iris_core.segmenter import Segmenter
from iris_core.task.card import load_card, save_card
from iris_core.task.close_up import Views, choose_views, close_up_groups, finding_spacing, reference_box
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.volume import LabelVolume, Volume
from tests.tiny import QUICK, network, without

SHAPE = (200, 60, 50)
MIDDLE = (((-6.0, -6.0, -6.0), (6.0, 6.0, 6.0)),)  # a class in the middle of its box
LEAST = DEFAULTS.close_up.least_found
MM = np.diag([1.0, 1.0, 1.0, 1.0])


def study(boxes: dict[int, tuple[slice, slice, slice]], affine=MM, shape=SHAPE) -> Reference:
    """Bright blocks on a dark ground, in Hounsfield units."""
    array = np.zeros(shape, np.uint8)
    for value, box in boxes.items():
        array[box] = value
    image = np.where(array > 0, 300.0, 10.0).astype(np.float32)
    names = {1: "a", 2: "b"}
    return Reference(Volume(image, affine), LabelVolume(array, affine, names), "study")


def block(*starts: int, side: int = 12) -> tuple[slice, slice, slice]:
    i, j, k = (slice(start, start + side) for start in starts)
    return i, j, k


class Threshold(Segmenter):
    """Finds what is bright, is sure of it, and needs no training for it."""

    def decode_query(self, query, embedding, progress=None):
        image = query.image
        middle = (image.max() + image.min()) / 2
        return (100 * (image - middle)).expand(len(embedding.names), *image.shape[1:]).contiguous()

    def encode_query(self, image, embedding):
        return SimpleNamespace(image=image, coarse=None)


QUIET = without("alignment", "field_of_view", "mirroring")


def threshold(kind: type[Segmenter] = Threshold) -> Segmenter:
    return kind(network(), window=(32, 32, 32), **QUIET)


def test_the_box_leaves_a_margin_and_stays_within_the_image():
    # a cube of 12 mm: the margin is the larger of a quarter of 12 and half of the mean length 12, so 6
    assert reference_box(study({1: block(100, 30, 1)}), ["a"]) == ((94, 118), (24, 48), (0, 19))


def test_the_box_is_the_same_in_any_order_of_axes():
    plain = study({1: block(100, 30, 20)})
    turned = np.array([[0, 0, -1.0, 199], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # native (y, z, -x)
    image = np.ascontiguousarray(plain.image.array.transpose(1, 2, 0)[:, :, ::-1])
    label = np.ascontiguousarray(plain.label.array.transpose(1, 2, 0)[:, :, ::-1])
    other = Reference(Volume(image, turned), LabelVolume(label, turned, plain.label.names), "turned")
    assert reference_box(other, ["a"]) == reference_box(plain, ["a"])


def test_all_classes_share_a_look_where_their_box_is_small():
    near = study({1: block(60, 20, 20), 2: block(75, 20, 20)})
    assert close_up_groups(near) == [("a", "b")]


def test_scattered_small_classes_are_looked_at_one_by_one_and_large_ones_are_not():
    assert close_up_groups(study({1: block(2, 2, 2), 2: block(180, 40, 30)})) == [("a",), ("b",)]
    large = (slice(5, 195), slice(5, 55), slice(5, 45))
    assert close_up_groups(study({1: large})) == []
    assert close_up_groups(study({1: large, 2: block(180, 40, 30)})) == [("b",)]


def test_the_query_s_box_has_the_references_extent_around_what_was_found():
    query = study({1: block(100, 30, 20)})
    grid = make_grid(query.image, (2.0, 2.0, 2.0))
    logits = torch.full((1, *grid.shape), -1.0)
    logits[0, 50:56, 15:21, 10:16] = 1.0  # the block, in voxels of 2 mm
    box = query_box(logits, grid, (40.0, 30.0, 20.0), MIDDLE, grid.crop)
    assert box == ((86, 126), (21, 51), (16, 36))
    assert query_box(-torch.ones_like(logits), grid, (40.0, 30.0, 20.0), MIDDLE, grid.crop) is None


def test_the_query_s_box_grows_with_what_was_found_up_to_twice():
    grid = make_grid(study({1: block(100, 30, 20)}).image, (2.0, 2.0, 2.0))
    logits = torch.full((1, *grid.shape), -1.0)
    logits[0, 20:60] = 1.0  # 80 mm along the first axis
    for extent, length in ((40.0, 80), (90.0, 118), (10.0, 20)):
        (start, stop), *_ = query_box(logits, grid, (extent, 30.0, 20.0), MIDDLE, grid.crop)
        assert stop - start == pytest.approx(length, abs=2)


def test_boxes_that_share_most_of_their_room_count_as_one():
    box, same = ((0, 20), (0, 20), (0, 20)), DEFAULTS.close_up.same_box
    assert not differ(box, ((1, 21), (0, 20), (0, 20)), same)
    assert differ(box, ((4, 24), (0, 20), (0, 20)), same)


def test_a_class_of_few_voxels_keeps_the_fine_size():
    assert min(finding_spacing(study({1: block(100, 30, 20)}))) > 1.0
    assert finding_spacing(study({1: block(100, 30, 20, side=2)})) == (1.0, 1.0, 1.0)


def test_a_class_alone_is_seen_as_among_others():
    reference = study({1: block(60, 20, 20), 2: block(75, 20, 20)})
    among, alone = choose_views(reference, reference.classes), choose_views(reference, reference.classes[:1])
    assert among == alone and among.close_ups[0][0] == ("a", "b")
    runner = Threshold(network())
    tasks = [encode_task(runner, [reference], modality="ct", classes=c) for c in (None, ["a"])]
    close_ups = [task.close_ups[0] for task in tasks]
    assert close_ups[0].extent == close_ups[1].extent and close_ups[0].places[:1] == close_ups[1].places
    memories = [one.task.pool[0].memories[0] for one in close_ups]
    assert torch.equal(memories[0].features, memories[1].features)

    grid = make_grid(reference.image, (1.0, 1.0, 1.0))
    logits = torch.from_numpy(np.stack([reference.label.array == v for v in (1, 2)])) * 2.0 - 1.0
    extent, places = close_ups[0].extent, close_ups[0].places
    boxes = [query_box(logits[:k], grid, extent, places[:k], grid.crop) for k in (1, 2)]
    assert boxes[0] == boxes[1] == reference_box(reference, ["a", "b"])


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_what_was_small_comes_out_in_the_query_s_own_voxels(flip):
    affine = np.diag([flip, 1.0, 1.0, 1.0])
    reference, query = study({1: block(100, 30, 20)}), study({1: block(40, 21, 11)}, affine)
    task = encode_task(threshold(), [reference], modality="ct")
    assert len(task.close_ups) == 1 and max(task.close_ups[0].task.spacing) == 1.0 < min(task.spacing)
    truth = query.label.array == 1
    looked = apply_task(threshold(), task, query.image)
    blurred = apply_task(threshold(), replace(task, close_ups=()), query.image)
    assert np.array_equal(looked.label.array == 1, truth) and np.array_equal(looked.masks[0], truth)
    assert not np.array_equal(blurred.label.array == 1, truth)
    assert looked.references_used == {"a": ["study"]}


def test_a_spacing_that_is_asked_for_is_the_only_one():
    task = encode_task(threshold(), [study({1: block(100, 30, 20)})], modality="ct", spacing=2.0)
    assert task.close_ups == () and task.spacing == (2.0, 2.0, 2.0)


def test_classes_without_a_look_of_their_own_keep_what_the_whole_study_said():
    large = (slice(5, 195), slice(5, 35), slice(5, 45))
    reference = study({1: large, 2: block(180, 44, 30)})
    task = encode_task(threshold(), [reference], modality="ct")
    assert [one.task.names for one in task.close_ups] == [("b",)]
    prediction = apply_task(threshold(), task, reference.image)
    assert prediction.maps[0].grid.spacing == task.spacing
    assert prediction.maps[1].grid.spacing == task.close_ups[0].task.spacing


def test_a_look_that_is_less_sure_than_the_whole_study_does_not_replace_it():
    """Of a query without finer voxels the look sees half of the structure, and doubts it."""

    class Doubting(Threshold):
        def decode_query(self, query, embedding, progress=None):
            logits = super().decode_query(query, embedding).clamp(-10, 10)
            if query.image.shape[1:] == SHAPE:
                return logits
            logits[:, :, : query.image.shape[2] // 2] = -1.0
            return logits.clamp(-1.0, 0.1)

    reference = study({1: block(100, 30, 20)})
    task = encode_task(
        threshold(), [reference], modality="ct", spacing=Views((1.0,) * 3, ((("a",), (1.0,) * 3),))
    )
    runner = threshold(Doubting)
    prediction = apply_task(runner, task, reference.image)
    alone = apply_task(runner, replace(task, close_ups=()), reference.image)
    assert prediction.maps[0].grid.crop != alone.maps[0].grid.crop  # it was looked at
    assert np.array_equal(prediction.label.array, alone.label.array)
    assert 0.9 * alone.quality["a"] < prediction.quality["a"] <= alone.quality["a"]


def test_a_box_that_shows_nothing_is_not_looked_at():
    class Mistaken(Threshold):
        """Finds something at the far end, where the study is flat."""

        def decode_query(self, query, embedding, progress=None):
            logits = torch.full((1, *query.image.shape[1:]), -1.0)
            logits[:, :4] = 1.0
            return logits

    reference = study({1: block(100, 30, 20)})
    task = encode_task(threshold(), [reference], modality="ct")
    runner = threshold(Mistaken)
    prediction = apply_task(runner, task, reference.image)
    assert prediction.maps[0].grid.spacing == task.spacing  # what the whole study said stays


def test_a_label_in_plain_air_has_no_look_and_keeps_what_the_whole_study_says():
    reference = study({1: block(100, 30, 20)})
    image = reference.image.array.copy()
    image[60:] = -1024  # the label and all around it
    reference = replace(reference, image=replace(reference.image, array=image))
    task = encode_task(threshold(), [reference], modality="ct")
    assert task.close_ups == () and len(task.pool) == 1
    (told,) = task.provenance["close_ups_left_out"]
    assert told.startswith("a: ") and "clipped" in told


def test_a_reference_whose_box_is_air_is_left_out_of_the_look_and_the_others_look():
    good, bad = study({1: block(100, 30, 20)}), study({1: block(100, 30, 20)})
    image = bad.image.array.copy()
    image[60:] = -1024
    bad = replace(bad, image=replace(bad.image, array=image), name="bad")
    task = encode_task(threshold(), [good, bad], modality="ct")
    (close_up,) = task.close_ups
    assert len(task.pool) == 2 and len(close_up.task.pool) == 1
    assert close_up.task.provenance["references"] == [good.name] and good.name != "bad"
    (told,) = task.provenance["close_ups_left_out"]
    assert told.startswith("a: ") and "clipped" in told


def test_each_reference_is_cut_to_its_own_box():
    references = [study({1: block(100, 30, 20)}), study({1: block(20, 5, 8, side=16)})]
    task = encode_task(threshold(), references, modality="ct")
    assert task.close_ups[0].extent == (32.0, 29.0, 32.0)  # the larger one, cut off by the image at one side
    shapes = [embedding.memories[0].masks.shape for embedding in task.close_ups[0].task.pool]
    assert all(max(shape[2:]) <= 32 for shape in shapes)


def test_a_card_keeps_the_looks_and_gives_the_same_mask(tmp_path):
    runner = Segmenter(network(), fingerprint="f", **QUICK)
    reference, query = (study({1: block(i, 6, 6, side=6)}, shape=(64, 24, 24)) for i in (40, 12))
    task = encode_task(runner, [reference], modality="ct")
    save_card(task, tmp_path / "card.safetensors")
    again = load_card(tmp_path / "card.safetensors", "f")
    assert again.close_ups[0].extent == task.close_ups[0].extent
    one, other = (apply_task(runner, t, query.image) for t in (task, again))
    assert np.array_equal(one.label.array, other.label.array)
    for a, b in zip(one.maps, other.maps, strict=True):
        assert torch.equal(a.logits, b.logits)


@pytest.mark.parametrize(("voxels", "enough"), [(0, False), (19, False), (20, True), (500, True)])
def test_a_look_is_worth_it_where_a_fifth_of_the_volume_was_found(voxels, enough):
    """Voxels of 2 x 1 x 1 mm, references of 200 mm^3."""
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    grid = make_grid(Volume(np.ones((10, 10, 10), np.float32), affine), (2.0, 1.0, 1.0))
    logits = torch.full((1000,), -1.0)
    logits[:voxels] = 1.0
    assert enough_found(logits.view(1, 10, 10, 10), grid, (200.0,), LEAST) == enough


def test_the_volume_of_a_class_is_the_least_that_a_reference_shows():
    large, small = (
        study({1: block(30, 20, 20, side=16)}),
        study({1: block(30, 20, 20, side=8), 2: block(60, 20, 20)}),
    )
    runner = Segmenter(network(), window=(64, 64, 64), **without("mirroring"))
    task = encode_task(runner, [large, small], spacing=1.0, modality="ct")
    assert shown_volumes(task.pool, ("a", "b"), task.spacing) == pytest.approx((8.0**3, 12.0**3), rel=0.05)


def test_a_mistake_is_not_looked_at():
    """The query shows a speck where the reference shows a block: it stays a speck."""
    reference = study({1: block(150, 24, 24)})
    query = study({1: block(150, 24, 24, side=4)})
    runner = threshold()
    task = encode_task(runner, [reference], modality="ct")
    assert task.close_ups
    shown = []

    def watched(query, embedding, progress=None):
        shown.append(tuple(query.image.shape[1:]))
        return Threshold.decode_query(runner, query, embedding)

    runner.decode_query = watched
    apply_task(runner, task, query.image)
    assert len(shown) == 1
    apply_task(runner, task, reference.image)
    assert len(shown) > 2


def test_one_class_that_was_found_is_enough_for_a_look_at_the_group():
    grid = make_grid(Volume(np.ones((10, 10, 10), np.float32), MM), (1.0, 1.0, 1.0))
    small, large = torch.full((10, 10, 10), -1.0), torch.full((10, 10, 10), -1.0)
    small[:5, :5, 0] = 1.0
    assert enough_found(torch.stack([small, large]), grid, (50.0, 900.0), LEAST)
    assert not enough_found(torch.stack([large, small]), grid, (50.0, 900.0), LEAST)
