"""The price of many classes: a window of 128^3 costs hardly more for fifteen than for one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from iris_core.allocator import reuse_memory
from iris_core.checkpoint import load_model
from iris_core.config import PAPER_WINDOW, ModelConfig
from iris_core.inference.evidence import Comparison
from iris_core.inference.pair_fit.reference_edges import reference_edges
from iris_core.inference.pair_fit.transfer import join
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.model.build import build
from iris_core.model.iris import Iris
from tests import quick_convolutions
from tests.tiny import noise

MANY = 15
MOST = 1.25  # times the cost of one class
TRIES = 6

Seconds = list[float]  # by stage


def shipped_config() -> ModelConfig:
    """The network that is shipped."""
    return load_model().model.config


def masks_of(classes: int, window: Sequence[int] = PAPER_WINDOW) -> torch.Tensor:
    masks = torch.zeros(1, classes, *window)
    step = window[0] // 16
    for k in range(classes):
        masks[0, k, step * k : step * k + 12, 5 * step : 9 * step, 6 * step : 11 * step] = 1
    return masks


@torch.no_grad()
def stages(model: Iris, image: torch.Tensor, masks: torch.Tensor, settings: InferenceSettings) -> Seconds:
    """Processor seconds of encoding a reference, its tokens and memory, a query, and decoding it.

    The reference's label shows all classes, whichever of them are wanted.
    """
    nowhere, labelled = torch.zeros(1, 3), masks_of(MANY, image.shape[2:]).amax(1, keepdim=True)
    marks = [time.process_time()]
    reference = model.encode_image(image)
    marks.append(time.process_time())
    tokens = model.encode_tokens(reference, masks)
    memory = model.encode_memory(reference, masks, nowhere, labelled)
    memory = replace(memory, **reference_edges(image[0], torch.cat([masks, labelled], dim=1)[0]))
    marks.append(time.process_time())
    query = model.encode_image(image)
    marks.append(time.process_time())
    found = Comparison(model, settings).with_all(query, [memory], None, nowhere)
    logits = model.decode(query, tokens, found.evidence).logits
    if found.transferred is not None:
        join(logits, found.transferred, settings.edge_fit.most_trusted)
    marks.append(time.process_time())
    return [later - earlier for earlier, later in itertools.pairwise(marks)]


def least_seconds() -> dict[int, Seconds]:
    """By number of classes the least seconds of every stage; one and fifteen take turns. For a fresh process.

    It tries again, TRIES times at most, while neighbours on the machine make the many look dear. It keeps
    freed memory as every program of ours does; one thread, because its processor time is wall time without
    the neighbours.
    """
    reuse_memory()
    torch.set_num_threads(1)
    model = build(shipped_config(), seed=0).eval().to(memory_format=torch.channels_last_3d)
    image = noise(1, 1, *PAPER_WINDOW).to(memory_format=torch.channels_last_3d)
    runs: list[dict[int, Seconds]] = []
    for _ in range(TRIES):
        runs.append({k: stages(model, image, masks_of(k), DEFAULTS) for k in (1, MANY)})
        least = {k: [min(stage) for stage in zip(*(run[k] for run in runs), strict=True)] for k in (1, MANY)}
        if dear(least) <= MOST:
            break
    return least


def dear(seconds: dict[int, Seconds]) -> float:
    """How many times as much fifteen classes cost: a whole task, or a window whose reference was encoded."""
    return max(sum(seconds[MANY][part]) / sum(seconds[1][part]) for part in (slice(0, 4), slice(2, 4)))


@pytest.mark.slow
def test_fifteen_classes_take_at_most_a_quarter_more_arithmetic_than_one(monkeypatch):
    monkeypatch.setattr(nn.Conv3d, "_conv_forward", quick_convolutions.ORIGINAL)  # the counter knows it
    model = build(shipped_config(), seed=0).eval().requires_grad_(False)
    window, counts = (64, 64, 64), {}  # arithmetic, unlike time, is in proportion to the voxels
    image = noise(1, 1, *window)
    for k in (1, MANY):
        with FlopCounterMode(display=False) as counter:
            stages(model, image, masks_of(k, window), DEFAULTS.without("feature_fit", "edge_fit"))
        counts[k] = counter.get_total_flops()
    assert counts[1] < counts[MANY] <= MOST * counts[1], counts


@pytest.mark.slow
def test_fifteen_classes_take_at_most_a_quarter_more_time_than_one():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as program:
        seconds = program.submit(least_seconds).result()
    assert dear(seconds) <= MOST, f"by stage: {seconds}"
