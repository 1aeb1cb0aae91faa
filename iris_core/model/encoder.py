"""Image encoder E: a residual 3D U-Net's contracting half (paper: 3.2.1 and supplement 7)."""

from __future__ import annotations

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
        """Args: image (B, 1, D, H, W), each side a multiple of 16. Returns: five maps, finest first."""
        maps = []
        for stage in self.stages:
            image = stage(image)
            maps.append(image)
        return tuple(maps)
