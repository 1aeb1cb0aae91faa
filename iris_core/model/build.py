"""The one place that turns a config into a network."""

from __future__ import annotations

import torch

from iris_core.config import ModelConfig
from iris_core.model.iris import Iris


def build(config: ModelConfig, *, seed: int | None = None) -> Iris:
    """A network with fresh weights.

    Args:
        config: its sizes and switches.
        seed: of the initial weights; None leaves the global generator alone.
    """
    if seed is None:
        return Iris(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Iris(config)
