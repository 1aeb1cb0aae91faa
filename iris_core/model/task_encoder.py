"""Task encoding module: reference features + one binary mask per class -> (m + 1) tokens per class.

Paper: 3.2.1, Eq. 2-4. Both equations are implemented in forms that are equal to the printed ones and never
build a full-resolution feature map (docs/decisions/0002, 0003); tests hold the literal forms as oracles.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import DOWNSAMPLE_RATIO, ModelConfig
from iris_core.model.layers import Attention, FeedForward, interpolation_matrix
from iris_core.triple import triple


def adjoint_upsample(mask: Tensor, size: tuple[int, int, int]) -> Tensor:
    """The transpose of trilinear upsampling, of masks (B, K, D, H, W) to a coarse size (d, h, w).

    For every feature map F: sum(Upsample(F) * mask) == sum(F * adjoint_upsample(mask)).
    """
    first, second, third = (
        interpolation_matrix(c, f).to(mask) for c, f in zip(size, mask.shape[2:], strict=True)
    )
    mask = second.T @ (mask @ third)  # (B, K, D, h, w)
    return (first.T @ mask.flatten(3)).unflatten(3, size[1:])


def foreground_embedding(features: Tensor, mask: Tensor) -> Tensor:
    """T_f (B, K, C), the mean of the upsampled features over each mask; zeros for an empty one. Paper: Eq. 2.

    Args:
        features: (B, C, d, h, w).
        mask: (B, K, D, H, W) in [0, 1].
    """
    weight = adjoint_upsample(mask, triple(features.shape[2:])).flatten(2)  # (B, K, dhw)
    total = weight.sum(-1, keepdim=True)
    return torch.einsum("bks,bcs->bkc", weight / total.clamp_min(1e-6), features.flatten(2))


def coarse_mask(mask: Tensor) -> Tensor:
    """Masks (B, K, D, H, W) as features at stride 16 see them: one voxel of each cell speaks for all.

    Paper: Table 4.
    """
    small = mask[..., 8::DOWNSAMPLE_RATIO, 8::DOWNSAMPLE_RATIO, 8::DOWNSAMPLE_RATIO]
    return F.interpolate(small, size=mask.shape[2:], mode="nearest")


def known_mask(mask: Tensor, unknown: Tensor) -> Tensor:
    """Masks (B, K, D, H, W) without their guesses, where `unknown` is 1; a mask of guesses alone stays."""
    known = mask * (1 - unknown)
    return torch.where(known.flatten(2).sum(-1)[..., None, None, None] > 0, known, mask)


class TaskEncoder(nn.Module):
    """Both streams of the task encoding module.

    Departs: Eq. 3 needs C / r^3 channels, fewer than one at r = 16; a 1x1x1 lift comes first. The chain lift,
    shuffle, join mask, 1x1x1, unshuffle, 1x1x1 is linear, so it equals `feature_mix` + `mask_mix` below
    (docs/decisions/0003).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.channels[-1]
        self.parts = frozenset(config.embedding_parts)
        self.feature_mix = nn.Conv3d(channels, channels, 1)
        self.mask_mix = nn.Linear(DOWNSAMPLE_RATIO**3, channels, bias=False)
        self.context_tokens = nn.Parameter(torch.randn(config.context_tokens, channels) * 0.02)
        self.cross = Attention(channels, config.attention_heads)
        self.self_attention = Attention(channels, config.attention_heads)
        self.feed_forward = FeedForward(channels)
        self.balanced = config.balanced_tokens
        nn.init.normal_(self.mask_mix.weight, std=DOWNSAMPLE_RATIO**-1.5)

    def merged_features(self, features: Tensor, mask: Tensor) -> Tensor:
        """F-hat of Eq. 4, (B, K, dhw, C), of features (B, C, d, h, w) and masks (B, K, D, H, W)."""
        b, k = mask.shape[:2]
        # unshuffle and 1x1x1 in one
        kernel = self.mask_mix.weight.unflatten(1, (1, *(DOWNSAMPLE_RATIO,) * 3))
        merged = F.conv3d(mask.flatten(0, 1)[:, None], kernel, stride=DOWNSAMPLE_RATIO).unflatten(0, (b, k))
        return (merged + self.feature_mix(features)[:, None]).flatten(3).transpose(2, 3)

    def forward(self, features: Tensor, mask: Tensor, unknown: Tensor | None = None) -> Tensor:
        """T = [T_f; T_c].

        Args:
            features: (B, C, d, h, w).
            mask: (B, K, D, H, W).
            unknown: (B, K, D, H, W), where the mask is a guess; T_f is of the known mask where there is one.
                None: nowhere.

        Returns:
            (B, K, m + 1, C).
        """
        b, k = mask.shape[:2]
        if "high-resolution" not in self.parts:
            mask = coarse_mask(mask)
        sure = mask if unknown is None else known_mask(mask, unknown)
        foreground = foreground_embedding(features, sure)[:, :, None]  # (B, K, 1, C)
        merged = self.merged_features(features, mask).flatten(0, 1)  # (BK, dhw, C)
        tokens = self.context_tokens.expand(b * k, -1, -1)
        tokens = self.feed_forward(self.self_attention(self.cross(tokens, merged)))
        if self.balanced:
            tokens = F.normalize(tokens, dim=-1) * (tokens.shape[-1] ** 0.5 / tokens.shape[-2])
        if "foreground" not in self.parts:
            foreground = torch.zeros_like(foreground)
        if "context" not in self.parts:
            tokens = torch.zeros_like(tokens)
        return torch.cat([foreground, tokens.unflatten(0, (b, k))], dim=2)
