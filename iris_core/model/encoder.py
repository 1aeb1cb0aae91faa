"""Image encoder E: a residual 3D U-Net's contracting half (paper: 3.2.1 and supplement 7)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from iris_core.config import ModelConfig
from iris_core.model.layers import stage


class Encoder(nn.Module):
    """Features at strides 1, 2, 4, 8 and 16."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths, strides = (1, *config.channels[:-1]), (1, 2, 2, 2, 2)
        sizes = zip(widths, config.channels, config.encoder_blocks, strides, strict=True)
        self.stages = nn.ModuleList(stage(*size) for size in sizes)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Five maps, finest first, of images (B, 1, D, H, W) whose sides are multiples of 16."""
        maps = []
        for finer in self.stages[:-1]:
            image = finer(image)
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
