"""The price of many classes: a window of 128^3 costs hardly more for fifteen than for one."""

from __future__ import annotations

import time

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from iris_core.checkpoint import load_model
from iris_core.config import FIT_STEPS, PAPER_WINDOW, ModelConfig
from iris_core.model.build import build
from iris_core.model.iris import Iris
from tests.tiny import noise

MANY = 15
MOST = 1.25  # times the cost of one class
TRIES = 4


def shipped_config() -> ModelConfig:
    """The network that is shipped."""
    return load_model().model.config


def masks_of(classes: int) -> torch.Tensor:
    masks = torch.zeros(1, classes, *PAPER_WINDOW)
    for k in range(classes):
        masks[0, k, 8 * k : 8 * k + 12, 40:70, 50:90] = 1
    return masks


@torch.no_grad()
def stages(model: Iris, image: torch.Tensor, masks: torch.Tensor, fit_steps: int) -> list[float]:
    """Processor seconds of encoding a reference, its tokens and memory, a query, and decoding it."""
    marks = [time.process_time()]
    reference = model.encode_image(image)
    marks.append(time.process_time())
    tokens = model.encode_tokens(reference, masks)
    memory = model.encode_memory(reference, masks, torch.zeros(1, 3))
    marks.append(time.process_time())
    query = model.encode_image(image)
    marks.append(time.process_time())
    model.decode(query, tokens, [memory] if memory else [], None, torch.zeros(1, 3), fit_steps)
    marks.append(time.process_time())
    return [later - earlier for earlier, later in zip(marks, marks[1:], strict=False)]


@pytest.mark.slow
def test_fifteen_classes_take_at_most_a_quarter_more_arithmetic_than_one():
    model = build(shipped_config(), seed=0).eval().requires_grad_(False)
    image, counts = noise(1, 1, *PAPER_WINDOW), {}
    for k in (1, MANY):
        with FlopCounterMode(display=False) as counter:
            stages(model, image, masks_of(k), fit_steps=0)
        counts[k] = counter.get_total_flops()
    assert counts[1] < counts[MANY] <= MOST * counts[1], counts


@pytest.mark.slow
def test_fifteen_classes_take_at_most_a_quarter_more_time_than_one():
    """One and fifteen take turns; the least time of every stage counts, so that neighbours of this process
    weigh little. Held for a whole task and for a window alone, whose reference was encoded before."""
    model = build(shipped_config(), seed=0).eval().to(memory_format=torch.channels_last_3d)
    image = noise(1, 1, *PAPER_WINDOW).to(memory_format=torch.channels_last_3d)
    masks = {1: masks_of(1), MANY: masks_of(MANY)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of one thread is wall time without the neighbours
    try:
        runs = [{k: stages(model, image, masks[k], FIT_STEPS) for k in masks} for _ in range(TRIES)]
    finally:
        torch.set_num_threads(threads)
    one, many = ([min(stage) for stage in zip(*(r[k] for r in runs), strict=True)] for k in masks)
    for part in (slice(0, 4), slice(2, 4)):
        assert sum(many[part]) <= MOST * sum(one[part]), f"seconds by stage: {one} for one, {many} for {MANY}"
