"""The one place that turns a config into a network."""

from __future__ import annotations

import torch

from iris_core.config import ModelConfig, preset
from iris_core.model.iris import Iris


def build(config: ModelConfig | str, *, seed: int | None = None) -> Iris:
    """A network with fresh weights.

    Args:
        config: a config or a preset's name.
        seed: of the initial weights; None leaves the global generator alone.
    """
    config = preset(config) if isinstance(config, str) else config
    if seed is None:
        return Iris(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Iris(config)
