"""Features that reference and query are compared in: a light top-down path over the encoder's maps.

Extension to the paper (docs/decisions/0005): encode-once holds, since reference and query pass it alike.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import ModelConfig
from iris_core.model.layers import norm, upsample

STRIDES = (2, 4, 8, 16)  # of the maps that are compared, finest first


class MatchingPyramid(nn.Module):
    """Encoder maps -> matching features at strides 2, 4, 8 and 16."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.matching_channels
        self.lateral = nn.ModuleList(nn.Conv3d(c, width, 1) for c in config.channels[1:])
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv3d(width, width, 3, padding=1), norm(width))
            for _ in range(3)  # level 0 stays unsmoothed: it is only a mean and a dot product
        )
        self.finest = nn.Conv3d(width, width // 2, 1)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Four maps of the encoder's five, finest first; the finest has half the channels."""
        x = self.lateral[3](maps[4])
        out = [x]
        for level in (2, 1, 0):
            x = upsample(x, maps[level + 1].shape[2:]) + self.lateral[level](maps[level + 1])
            x = F.leaky_relu(x, 0.01)
            x = self.smooth[level](x) if level else self.finest(x)
            out.insert(0, x)
        return tuple(out)
