"""Small convolutions through oneDNN, as those of every network of real size go.

PyTorch gives a convolution of one small volume (below 20 480 values in channels and first two sides) to a
loop that copies every neighbourhood first. The tests' networks are that small, so most of their processor
time went there. oneDNN gives the same numbers but for rounding, five to eight times faster.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LARGE = 20_480  # PyTorch takes oneDNN by itself above


class QuickConvolution(torch.autograd.Function):
    """A convolution of one volume (1, C, D, H, W) by a module's weight and bias."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple, padding: tuple) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased, ctx.stride, ctx.padding = bias is not None, stride, padding
        return torch.mkldnn_convolution(x, weight, bias, padding, stride, (1, 1, 1), 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wanted = [*ctx.needs_input_grad[:2], ctx.biased and ctx.needs_input_grad[2]]
        two = [torch.cat([part, torch.zeros_like(part)]) for part in (slope, x)]  # two volumes go to oneDNN
        sizes = [len(weight)] if ctx.biased else None
        of_x, of_weight, of_bias = torch.ops.aten.convolution_backward(
            *two, weight, sizes, ctx.stride, ctx.padding, (1, 1, 1), False, (0, 0, 0), 1, wanted
        )
        return of_x[:1] if wanted[0] else None, of_weight, of_bias, None, None


def convolve(module: nn.Conv3d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """In place of `nn.Conv3d._conv_forward`."""
    small = (
        x.dim() == 5 and len(x) == 1 and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
        and max(module.kernel_size) > 1 and module.groups == 1 and module.dilation == (1, 1, 1)
        and not isinstance(module.padding, str) and module.padding_mode == "zeros"
        and x[0, :, :, :, 0].numel() <= LARGE and not torch.is_autocast_enabled("cpu")
    )  # fmt: skip
    if small:
        return QuickConvolution.apply(x, weight, bias, module.stride, module.padding)
    return ORIGINAL(module, x, weight, bias)


ORIGINAL = nn.Conv3d._conv_forward


def install() -> None:
    """For this process and its threads."""
    if torch.backends.mkldnn.is_available():
        nn.Conv3d._conv_forward = convolve
