"""The price of many classes: fifteen cost hardly more than one, for encoding and decoding one window of 128^3."""

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
    """Processor seconds to encode a reference and segment a query; the least of a few tries."""
    tries = []
    for _ in range(TRIES):
        start = time.process_time()
        reference = model.encode_image(image)
        tokens = model.encode_tokens(reference, masks)
        memory = model.encode_memory(reference, masks, torch.zeros(1, 3))
        query = model.encode_image(image)
        model.decode(query, tokens, [memory] if memory else [], None, torch.zeros(1, 3))
        tries.append(time.process_time() - start)
    return min(tries)


@pytest.mark.slow
def test_fifteen_classes_cost_at_most_a_quarter_more_than_one():
    model = build(shipped_config(), seed=0).eval().to(memory_format=torch.channels_last_3d)
    image = noise(1, 1, *PAPER_WINDOW).to(memory_format=torch.channels_last_3d)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of one thread is wall time without the neighbours
    try:
        seconds_of_one, seconds_of_many = (seconds(model, image, masks_of(k)) for k in (1, MANY))
    finally:
        torch.set_num_threads(threads)
    assert seconds_of_many <= MOST * seconds_of_one, f"{seconds_of_one:.2f} s for 1, {seconds_of_many:.2f} s for {MANY}"
