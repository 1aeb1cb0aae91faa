"""The tests' own convolution gives what PyTorch's gives, and gradients too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests import quick_convolutions
from tests.tiny import noise


@pytest.mark.parametrize(("stride", "bias"), [(1, True), (2, False)])
@pytest.mark.parametrize("trained", [True, False])
def test_a_quick_convolution_is_the_plain_one(stride, bias, trained):
    module = nn.Conv3d(5, 6, 3, stride=stride, padding=1, bias=bias).requires_grad_(trained)
    found = []
    for way in (quick_convolutions.convolve, quick_convolutions.ORIGINAL):
        x = noise(1, 5, 8, 9, 7).requires_grad_()
        y = way(module, x, module.weight, module.bias)
        wanted = [x, *(module.parameters() if trained else ())]
        found.append([y.detach(), *torch.autograd.grad((y * noise(*y.shape, seed=1)).sum(), wanted)])
    assert len(found[0]) == 2 + trained * (1 + bias)
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-4)


def test_the_tests_networks_go_through_it():
    assert nn.Conv3d._conv_forward is quick_convolutions.convolve or not torch.backends.mkldnn.is_available()
