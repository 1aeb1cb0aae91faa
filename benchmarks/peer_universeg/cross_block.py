"""The CrossBlock: a query's features and those of N references meet pair by pair.

Written from the description in Butoi et al., "UniverSeg: Universal Medical Image Segmentation", ICCV 2023,
section 3.2. What they call support is called references here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.01  # of the leaky rectifier below zero


def per_reference(layer, maps: Tensor) -> Tensor:
    """Applies a 2D layer to every reference's maps: (B, N, C, H, W) -> (B, N, C', H', W')."""
    found = layer(maps.flatten(0, 1))
    return found.view(*maps.shape[:2], *found.shape[1:])


class CrossConv(nn.Module):
    """Convolves the query's maps joined with each reference's maps.

    A convolution is linear, so its query part is computed once and added to every reference's part.

    Args:
        query_channels: C_u.
        reference_channels: C_v.
        width: channels of the result.
    """

    def __init__(self, query_channels: int, reference_channels: int, width: int) -> None:
        super().__init__()
        self.query_channels = query_channels
        self.joint = nn.Conv2d(query_channels + reference_channels, width, 3, padding=1)
        nn.init.kaiming_normal_(self.joint.weight, a=SLOPE)
        nn.init.zeros_(self.joint.bias)

    def forward(self, query: Tensor, references: Tensor) -> Tensor:
        """(B, C_u, H, W) and (B, N, C_v, H, W) -> (B, N, width, H, W)."""
        of_query, of_reference = self.joint.weight.split([self.query_channels, references.shape[2]], dim=1)
        shared = functional.conv2d(query, of_query, self.joint.bias, padding=1)
        own = per_reference(lambda maps: functional.conv2d(maps, of_reference, padding=1), references)
        return shared[:, None] + own


class CrossBlock(nn.Module):
    """z_i = A(CrossConv(u, v_i)); u' = mean of z_i; v_i' = A(Conv(z_i)).

    Args:
        query_channels: C_u.
        reference_channels: C_v.
        width: channels of both results.
        last: the references' maps are not needed any more.
    """

    def __init__(
        self, query_channels: int, reference_channels: int, width: int, *, last: bool = False
    ) -> None:
        super().__init__()
        self.cross = CrossConv(query_channels, reference_channels, width)
        self.own = None if last else nn.Conv2d(width, width, 3, padding=1)
        if self.own is not None:
            nn.init.kaiming_normal_(self.own.weight, a=SLOPE)
            nn.init.zeros_(self.own.bias)

    def forward(self, query: Tensor, references: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, C_u, H, W) and (B, N, C_v, H, W) -> (B, width, H, W) and (B, N, width, H, W)."""
        met = functional.leaky_relu(self.cross(query, references), SLOPE)
        if self.own is None:
            return met.mean(dim=1), None
        return met.mean(dim=1), functional.leaky_relu(per_reference(self.own, met), SLOPE)


def joined(query: Tensor, references: Tensor, skip: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Doubles the size of both and puts the encoder's maps of that size behind them."""

    def doubled(maps: Tensor) -> Tensor:
        return functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)

    return (
        torch.cat([doubled(query), skip[0]], dim=1),
        torch.cat([per_reference(doubled, references), skip[1]], dim=2),
    )
