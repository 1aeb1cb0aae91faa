"""Image encoder E: a residual 3D U-Net's contracting half (paper: 3.2.1 and supplement 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from iris_core.config import ModelConfig
from iris_core.model.layers import ResidualBlock


class Encoder(nn.Module):
    """Features at strides 1, 2, 4, 8 and 16."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        stages, width = [], 1
        for level, (channels, blocks) in enumerate(zip(config.channels, config.encoder_blocks, strict=True)):
            first = ResidualBlock(width, channels, stride=1 if level == 0 else 2)
            rest = [ResidualBlock(channels, channels) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(first, *rest))
            width = channels
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Five maps, finest first, of images (B, 1, D, H, W) whose sides are multiples of 16."""
        maps = []
        for stage in self.stages[:-1]:
            image = stage(image)
            maps.append(image)
        maps.append(self._deepest(image))
        return tuple(maps)

    def _deepest(self, image: Tensor) -> Tensor:
        """The last stage, in float32 on a CPU.

        There oneDNN's bfloat16 gradient of a convolution over 2^3 cells reads memory that nobody wrote.
        """
        if image.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return self.stages[-1](image)
        with torch.autocast("cpu", enabled=False):
            return self.stages[-1](image.float())
