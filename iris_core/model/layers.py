"""Blocks that encoder, decoder and heads are built from."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

M = TypeVar("M", bound=nn.Module)
LOWEST, HIGHEST = 1e-9, 1 - 1e-6  # probabilities whose logits are finite; far air must stay as sure as it is
NORM_GROUP = 8  # channels that share one mean and deviation; the paper names no normalisation (ours)


class Norm(nn.GroupNorm):
    """Group normalisation that computes in float32 under autocast, on a CPU as torch does on a GPU.

    In bfloat16 and channels-last memory torch's own takes four times as long on a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalised features of the same shape."""
        if x.dtype == torch.bfloat16 and x.device.type == "cpu":
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation; statistics belong to one sample, so batch and episode never mix."""
    return Norm(max(1, channels // NORM_GROUP), channels)


class ResidualBlock(nn.Module):
    """a = act(norm(conv(x))), then act(a + norm(conv(a))); the first convolution changes width and stride."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = norm(out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = norm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, C, d, h, w) after both convolutions."""
        x = F.leaky_relu(self.norm1(self.conv1(x)), 0.01)
        return F.leaky_relu(x + self.norm2(self.conv2(x)), 0.01)


def stage(in_channels: int, out_channels: int, blocks: int, stride: int = 1) -> nn.Sequential:
    """Residual blocks one after another; the first one changes width and stride."""
    first = ResidualBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(ResidualBlock(out_channels, out_channels) for _ in range(blocks - 1)))


class Attention(nn.Module):
    """Pre-norm multi-head attention with a residual: x + Attention(norm(x), norm(context))."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_x = nn.LayerNorm(channels)
        self.norm_context = nn.LayerNorm(channels)
        self.to_q = nn.Linear(channels, channels)
        self.to_kv = nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Tokens x (B, n, C) after one round of attention to the context (B, s, C); None: to themselves."""
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
        """Tokens (B, n, C), each with the block's output added."""
        return x + self.body(x)


@lru_cache(maxsize=64)
def interpolation_matrix(coarse: int, fine: int) -> Tensor:
    """(fine, coarse): linear interpolation of one axis as a matrix, half-voxel aligned."""
    matrix = F.interpolate(torch.eye(coarse)[None], size=fine, mode="linear", align_corners=False)[0]
    return matrix.T.contiguous()


def upsample(x: Tensor, size: tuple[int, int, int] | torch.Size) -> Tensor:
    """Trilinear interpolation of (B, C, d, h, w) to a size, half-voxel aligned."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="trilinear", align_corners=False)


def upsample_many(x: Tensor, size: tuple[int, int, int] | torch.Size) -> Tensor:
    """As :func:`upsample`, one axis at a time by matrix products: several times faster for many maps."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    first, second, third = (interpolation_matrix(c, f).to(x) for c, f in zip(x.shape[2:], size, strict=True))
    x = second @ (x @ third.T)  # (B, C, d, H, W)
    return (first @ x.flatten(3)).unflatten(3, tuple(size[1:]))


def place_matrix(fine: int, cells: int, shift: Tensor, blur: int) -> Tensor:
    """One axis of a look-up in a blurred grid of the same cell size, as a matrix.

    Args:
        fine: cells of the result, centred on the middle of the grid and then shifted.
        cells: of the grid, zeros outside.
        shift: (B,), cells.
        blur: side of the box that blurs the grid twice.

    Returns:
        (B, fine, cells): rows of linear interpolation times the blur.
    """
    where = torch.arange(fine, device=shift.device) - (fine - cells) / 2 + shift[:, None]  # (B, fine)
    column = torch.arange(cells, device=shift.device, dtype=shift.dtype)
    between = (1 - (where[..., None] - column).abs()).clamp_min(0)
    box = ((column[:, None] - column).abs() <= blur // 2).to(shift.dtype) / blur
    return between @ (box @ box)


def bounded_logit(probability: Tensor) -> Tensor:
    """Its logit, finite; the tensor is used up."""
    return torch.logit(probability.clamp_(LOWEST, HIGHEST))


def box_mean(x: Tensor, side: int) -> Tensor:
    """Mean over a box of side^3 cells around each cell, zeros outside: (B, C, d, h, w), any size."""
    for axis in (2, 3, 4):
        length, reach = x.shape[axis], side // 2
        padded = F.pad(x, [reach if a == axis else 0 for a in (4, 3, 2) for _ in range(2)])
        x = padded.narrow(axis, 0, length)
        for start in range(1, side):
            x = x + padded.narrow(axis, start, length)
    return x / side**3


def in_channels_last(module: M) -> M:
    """Gives a module whose 5D weights lie with their channels last, in which a CPU convolves faster."""
    return module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload] # PyTorch's types lack it
