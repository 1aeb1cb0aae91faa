"""Blocks that encoder, decoder and heads are built from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


NORM_GROUP = 8  # channels that share one mean and deviation; the paper names no normalisation (ours)


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation; statistics belong to one sample, so batch and episode never mix."""
    return nn.GroupNorm(max(1, channels // NORM_GROUP), channels)


class ResidualBlock(nn.Module):
    """a = act(norm(conv(x))), then act(a + norm(conv(a))): the first convolution carries every change of shape.

    Args:
        in_channels, out_channels: widths.
        stride: 1 or 2, of the first convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.norm1(self.conv1(x)), 0.01)
        return F.leaky_relu(x + self.norm2(self.conv2(x)), 0.01)


class Attention(nn.Module):
    """Pre-norm multi-head attention with a residual: x + Attention(norm(x), norm(context)).

    Args:
        channels: width of both sides.
        heads: number of heads.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_x = nn.LayerNorm(channels)
        self.norm_context = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Args: x (B, n, C); context (B, s, C), or None for self-attention. Returns: (B, n, C)."""
        x_norm = self.norm_x(x)
        context_norm = x_norm if context is None else self.norm_context(context)
        q = self.to_q(x_norm)
        k, v = self.to_kv(context_norm).chunk(2, dim=-1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))  # (B, h, n, C/h)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return x + self.out(y)


class FeedForward(nn.Module):
    """Pre-norm two-layer perceptron with a residual."""

    def __init__(self, channels: int, expansion: int = 2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, expansion * channels),
            nn.GELU(),
            nn.Linear(expansion * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def upsample(x: Tensor, size: tuple[int, int, int] | torch.Size) -> Tensor:
    """Trilinear interpolation of (B, C, d, h, w) to a size, half-voxel aligned."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="trilinear", align_corners=False)
