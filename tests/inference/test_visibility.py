"""Laws of what lies in view: told by the reference's own mask, once the fields of view are aligned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from iris_core.inference.field_of_view import empty_the_unseen, visible_shares
from iris_core.inference.passes import PassResult, averaged
from iris_core.inference.place.align import Shift
from iris_core.inference.settings import DEFAULTS
from iris_core.segmenter import Segmenter
from tests.tiny import PLAIN, network, noise

SIDE, STAGE = 32, DEFAULTS.field_of_view


def task_of(*boxes: tuple[slice, slice, slice]):
    """The embedding of classes that fill boxes of a reference of 32^3 voxels."""
    masks = torch.zeros(len(boxes), SIDE, SIDE, SIDE)
    for mask, box in zip(masks, boxes, strict=True):
        mask[box] = 1
    names = tuple("abc"[: len(boxes)])
    return Segmenter(network(), window=(SIDE,) * 3).encode(noise(1, SIDE, SIDE, SIDE), masks, names)


def box(start: int, stop: int) -> tuple[slice, slice, slice]:
    return slice(start, stop), slice(8, 24), slice(8, 24)


def shares(task, shape, matched):
    """Shares in view, where each memory matches the field of view or does not."""
    return visible_shares(task, shape, [Shift(torch.zeros(3), one) for one in matched])


def moved(task, voxels: float):
    """The task as after an alignment which finds the query so many voxels further on."""
    shift = torch.tensor([[voxels, 0.0, 0.0]])
    return replace(task, memories=tuple(replace(m, offset=m.offset - shift) for m in task.memories))


@pytest.mark.parametrize(
    ("start", "stop", "length", "shift", "expected"),
    [
        (0, 16, 32, 0, 1.0),  # the same view
        (0, 16, 16, 8, 0.0),  # the query shows the last half
        (0, 16, 16, -8, 1.0),  # the first half
        (0, 16, 16, 0, 0.5),  # the middle half
        (8, 24, 32, 12, 0.75),
        (8, 24, 64, 60, 0.0),  # somewhere else altogether
    ],
)
def test_the_share_in_view_follows_from_where_the_query_lies(start, stop, length, shift, expected):
    task = moved(task_of(box(start, stop)), shift)
    assert shares(task, (length, SIDE, SIDE), (True,)).tolist() == pytest.approx([expected])


def test_references_count_by_their_weight():
    near, far = task_of(box(0, 16)), moved(task_of(box(0, 16)), 32)
    both = replace(near, memories=near.memories + far.memories, weights=torch.tensor([[0.75, 0.25]]))
    assert shares(both, (SIDE,) * 3, (True, True)).tolist() == pytest.approx([0.75])


def speckled(voxels: int, strength: float) -> torch.Tensor:
    """Logits that draw so many voxels of 32^3, the rest surely empty."""
    logits = torch.full((SIDE**3,), -9.0)
    logits[:voxels] = strength
    return logits.view(SIDE, SIDE, SIDE)


def emptied(before: torch.Tensor, task, matched: tuple[bool, ...]) -> torch.Tensor:
    found = PassResult(before.clone(), shares(task, (SIDE,) * 3, matched))
    empty_the_unseen(found, task.volumes, STAGE)
    return found.logits


def test_what_is_out_of_view_is_emptied_and_nothing_else_is():
    task = moved(task_of(box(0, 8), box(16, 32)), 12)  # 20 voxels of the first axis are shared
    before = torch.stack([speckled(4000, 0.1), speckled(4000, 0.1)])
    after = emptied(before, task, (True,))
    assert shares(task, (SIDE,) * 3, (True,)).tolist() == pytest.approx([0.0, 1.0])
    assert float(after[0].max()) == STAGE.absent_logit and torch.equal(after[1], before[1])


@pytest.mark.parametrize(
    ("voxels", "strength", "kept"), [(100, 0.1, False), (1000, 0.1, True), (100, 9.0, True)]
)
def test_what_is_hardly_in_view_is_kept_where_much_or_surely_found(voxels, strength, kept):
    """A class of 16 x 16 x 16 voxels, a quarter of it in view."""
    task = moved(task_of(box(0, 16)), 12)
    assert shares(task, (SIDE,) * 3, (True,)).tolist() == pytest.approx([0.25])
    after = emptied(speckled(voxels, strength)[None], task, (True,))
    assert bool((after > 0).any()) == kept


def test_a_few_voxels_of_a_class_in_full_view_are_kept():
    after = emptied(speckled(3, 0.1)[None], task_of(box(8, 24)), (True,))
    assert int((after > 0).sum()) == 3


def test_the_paper_s_network_keeps_no_masks_and_is_left_alone():
    runner = Segmenter(network(PLAIN), window=(SIDE,) * 3)
    masks = torch.zeros(1, SIDE, SIDE, SIDE)
    masks[(0, *box(0, 16))] = 1
    image = noise(1, SIDE, SIDE, SIDE)
    task = runner.encode(image, masks, ("a",))
    assert torch.equal(runner.segment(image, task), runner.segment(image, task, whole=False))


@pytest.mark.parametrize(("strength", "kept"), [(0.1, False), (9.0, True)])
def test_what_is_surely_found_is_kept_even_where_it_should_not_be_in_view(strength, kept):
    """Persons differ in size, so the shift of the whole field may put a structure just outside."""
    task = moved(task_of(box(0, 8)), 16)
    assert shares(task, (SIDE,) * 3, (True,)).tolist() == pytest.approx([0.0])
    after = emptied(speckled(4000, strength)[None], task, (True,))
    assert bool((after > 0).any()) == kept


def test_nothing_is_emptied_where_the_views_do_not_match():
    task = moved(task_of(box(0, 8)), 32)
    before = speckled(50, 0.1)[None]
    assert torch.equal(emptied(before, task, (False,)), before)
    assert not torch.equal(emptied(before, task, (True,)), before)


@pytest.mark.parametrize(("views", "kept"), [((1.0, 1.0), True), ((1.0, 0.0), False), ((0.0, 1.0), False)])
def test_a_class_that_one_pass_sees_out_of_view_is_out_of_view_unless_it_is_surely_found(views, kept):
    task, drawn = task_of(box(0, 16)), speckled(0, 0.0)[None]
    drawn[(0, *box(8, 24))] = 0.02  # the same in the mirror
    found = averaged([PassResult(drawn.clone(), torch.tensor([share])) for share in views], DEFAULTS.fusion)
    empty_the_unseen(found, task.volumes, STAGE)
    assert bool((found.logits > 0).any()) == kept


def test_in_a_part_of_a_query_or_without_the_stage_nothing_is_emptied():
    runner, task = Segmenter(network(), window=(SIDE,) * 3), moved(task_of(box(0, 8)), 0)
    image = noise(1, SIDE, SIDE, SIDE)
    off = runner.changed("field_of_view.enabled=false")
    assert torch.equal(off.segment(image, task), runner.segment(image, task, whole=False))
