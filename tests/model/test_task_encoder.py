"""Laws of the task encoder; the paper's equations in their literal form are the oracles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.task_encoder import TaskEncoder, adjoint_upsample, foreground_embedding
from tests.tiny import PLAIN, boxes, noise

RATIO = 16
COARSE = (2, 3, 2)
FINE = tuple(RATIO * n for n in COARSE)


def upsampled(features: Tensor) -> Tensor:
    return F.interpolate(features, size=FINE, mode="trilinear", align_corners=False)


def soft_masks(classes: int = 2) -> Tensor:
    return noise(1, classes, *FINE, seed=5).clamp(0, 1)


def pixel_shuffle(x: Tensor, r: int) -> Tensor:
    """(B, c r^3, d, h, w) -> (B, c, rd, rh, rw)."""
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c // r**3, r, r, r, d, h, w).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return blocks.reshape(b, c // r**3, r * d, r * h, r * w)


def pixel_unshuffle(x: Tensor, r: int) -> Tensor:
    """(B, c, rd, rh, rw) -> (B, c r^3, d, h, w)."""
    b, c, d, h, w = x.shape
    blocks = x.reshape(b, c, d // r, r, h // r, r, w // r, r).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return blocks.reshape(b, c * r**3, d // r, h // r, w // r)


def test_foreground_embedding_is_equation_2_written_out():
    features, masks = noise(2, 5, *COARSE), soft_masks().expand(2, -1, -1, -1, -1)
    fine = upsampled(features)
    literal = torch.stack(
        [(fine * masks[:, k : k + 1]).sum((2, 3, 4)) / masks[:, k].sum((1, 2, 3))[:, None] for k in range(2)],
        dim=1,
    )
    torch.testing.assert_close(foreground_embedding(features, masks), literal, atol=1e-5, rtol=1e-4)


def test_merged_features_are_equations_3_and_4_written_out():
    encoder = TaskEncoder(PLAIN).double()
    deepest, c, inner = PLAIN.channels[-1], 2, 3
    cells = RATIO**3
    lift, lift_bias = noise(c * cells, deepest, seed=1).double(), noise(c * cells, seed=2).double()
    join, join_bias = noise(inner, c + 1, seed=3).double(), noise(inner, seed=4).double()
    out, out_bias = noise(deepest, inner * cells, seed=5).double() / cells, noise(deepest, seed=6).double()
    features, mask = noise(1, deepest, *COARSE, seed=7).double(), (soft_masks(1) > 0.3).double()

    def conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv3d(x, weight[..., None, None, None], bias)

    high = pixel_shuffle(conv(features, lift, lift_bias), RATIO)  # (1, c, D, H, W)
    joined = conv(torch.cat([high, mask], dim=1), join, join_bias)
    literal = conv(pixel_unshuffle(joined, RATIO), out, out_bias)

    by_place = out.reshape(deepest, inner, cells)
    with_features = torch.einsum("oip,ic->ocp", by_place, join[:, :c])
    lifted = lift.reshape(c, cells, deepest)
    with torch.no_grad():
        encoder.feature_mix.weight.copy_(
            torch.einsum("ocp,cpf->of", with_features, lifted)[..., None, None, None]
        )
        encoder.feature_mix.bias.copy_(
            out_bias
            + torch.einsum("ocp,cp->o", with_features, lift_bias.reshape(c, cells))
            + torch.einsum("oip,i->o", by_place, join_bias)
        )
        encoder.mask_mix.weight.copy_(torch.einsum("oip,i->op", by_place, join[:, c]))

    merged = encoder.merged_features(features, mask)[0, 0]  # (dhw, C)
    torch.testing.assert_close(merged, literal[0].flatten(1).T, atol=1e-9, rtol=1e-9)


def test_adjoint_upsample_is_the_transpose_of_upsampling():
    features, masks = noise(1, 3, *COARSE).double(), noise(1, 3, *FINE, seed=1).double()
    fine, coarse = upsampled(features), adjoint_upsample(masks, COARSE)
    torch.testing.assert_close((fine * masks).sum(), (features * coarse).sum())


def test_adjoint_upsample_keeps_the_volume_of_a_mask():
    masks = soft_masks()
    torch.testing.assert_close(adjoint_upsample(masks, COARSE).sum((2, 3, 4)), masks.sum((2, 3, 4)))


def test_foreground_embedding_ignores_voxels_outside_the_mask():
    features, mask = noise(1, 4, 4, 4, 4), torch.zeros(1, 1, 64, 64, 64)
    mask[..., 4:20, 4:20, 4:20] = 1
    reached = adjoint_upsample(mask, (4, 4, 4))[:, 0] > 0
    assert 0 < int(reached.sum()) < reached.numel()
    elsewhere = torch.where(reached[:, None], features, features + 100)
    assert torch.equal(foreground_embedding(features, mask), foreground_embedding(elsewhere, mask))
    inside = torch.where(reached[:, None], features + 100, features)
    torch.testing.assert_close(foreground_embedding(inside, mask), foreground_embedding(features, mask) + 100)


@pytest.mark.parametrize("scale", [0.01, 0.5])
def test_foreground_embedding_does_not_change_with_the_strength_of_the_mask(scale):
    features, masks = noise(1, 4, *COARSE), soft_masks()
    torch.testing.assert_close(
        foreground_embedding(features, masks * scale), foreground_embedding(features, masks)
    )


def test_foreground_embedding_of_an_empty_mask_is_zero():
    assert not foreground_embedding(noise(1, 4, *COARSE), torch.zeros(1, 2, *FINE)).any()


def test_a_class_is_encoded_alike_alone_and_among_others():
    encoder, masks = TaskEncoder(PLAIN), boxes(3)[None]
    features = noise(1, PLAIN.channels[-1], 2, 2, 2)
    together = encoder(features, masks)
    assert together.shape == (1, 3, PLAIN.context_tokens + 1, PLAIN.channels[-1])
    for k in range(3):
        torch.testing.assert_close(
            encoder(features, masks[:, k : k + 1])[:, 0], together[:, k], atol=1e-5, rtol=1e-4
        )
