"""The price of many classes: a window of 128^3 costs hardly more for fifteen than for one."""

from __future__ import annotations

import time

import pytest
import torch

from iris_core.checkpoint import load_model, shipped_weights
from iris_core.config import PAPER_WINDOW, PRESETS, ModelConfig
from iris_core.model.build import build
from iris_core.model.iris import Iris
from tests.tiny import noise

MANY = 15
MOST = 1.25  # times the cost of one class
TRIES = 3


def shipped_config() -> ModelConfig:
    """The network that is shipped; `tiny` until there is one."""
    return load_model().model.config if shipped_weights().is_file() else PRESETS["tiny"]


def masks_of(classes: int) -> torch.Tensor:
    masks = torch.zeros(1, classes, *PAPER_WINDOW)
    for k in range(classes):
        masks[0, k, 8 * k : 8 * k + 12, 40:70, 50:90] = 1
    return masks


@torch.no_grad()
def seconds(model: Iris, image: torch.Tensor, masks: torch.Tensor) -> float:
    """Processor seconds to encode a reference and segment a query."""
    start = time.process_time()
    reference = model.encode_image(image)
    tokens = model.encode_tokens(reference, masks)
    memory = model.encode_memory(reference, masks, torch.zeros(1, 3))
    query = model.encode_image(image)
    model.decode(query, tokens, [memory] if memory else [], None, torch.zeros(1, 3))
    return time.process_time() - start


@pytest.mark.slow
def test_fifteen_classes_cost_at_most_a_quarter_more_than_one():
    model = build(shipped_config(), seed=0).eval().to(memory_format=torch.channels_last_3d)
    image = noise(1, 1, *PAPER_WINDOW).to(memory_format=torch.channels_last_3d)
    few, many = masks_of(1), masks_of(MANY)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of one thread is wall time without the neighbours
    try:
        # in turns, and the least of each counts: a busy machine slows single tries, never all of one kind
        tries = [(seconds(model, image, few), seconds(model, image, many)) for _ in range(TRIES)]
    finally:
        torch.set_num_threads(threads)
    of_one, of_many = (min(times) for times in zip(*tries, strict=True))
    assert of_many <= MOST * of_one, f"{of_one:.2f} s for one class, {of_many:.2f} s for {MANY}"
