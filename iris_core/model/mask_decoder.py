"""Mask decoding module: bidirectional cross-attention, then one U-Net expansion for all classes.

Paper: 3.2.2, Eq. 5-6.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from iris_core.config import ModelConfig
from iris_core.model.layers import Attention, FeedForward, ResidualBlock, upsample


class BidirectionalBlock(nn.Module):
    """Tokens read the features, then the features read the tokens."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.tokens_from_features = Attention(channels, heads)
        self.tokens_feed_forward = FeedForward(channels)
        self.features_from_tokens = Attention(channels, heads)
        self.features_feed_forward = FeedForward(channels)

    def forward(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Args: features (B, dhw, C); tokens (B, K(m+1), C). Returns: both, updated."""
        tokens = self.tokens_feed_forward(self.tokens_from_features(tokens, features))
        features = self.features_feed_forward(self.features_from_tokens(features, tokens))
        return features, tokens


class MaskDecoder(nn.Module):
    """D of Eq. 6. The maps that leave it are shared by all classes; a class is a vector times those maps."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels = config.channels
        deepest = channels[-1]
        self.attention = nn.ModuleList(
            BidirectionalBlock(deepest, config.attention_heads) for _ in range(config.decoder_layers)
        )
        self.token_norm = nn.LayerNorm(deepest)
        self.narrow = nn.ModuleList(
            nn.Conv3d(channels[level + 1], channels[level], 1, bias=False) for level in reversed(range(4))
        )
        stages = []
        for level in reversed(range(4)):
            first = ResidualBlock(2 * channels[level], channels[level])
            more = range(config.decoder_blocks[level] - 1)
            rest = [ResidualBlock(channels[level], channels[level]) for _ in more]
            stages.append(nn.Sequential(first, *rest))
        self.stages = nn.ModuleList(stages)
        self.mask_vector = nn.Sequential(
            nn.Linear(2 * deepest, deepest), nn.GELU(), nn.Linear(deepest, channels[0] + channels[1] + 1)
        )

    def forward(self, maps: tuple[Tensor, ...], tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One pass for all classes.

        Args:
            maps: the encoder's five maps of the query.
            tokens: (B, K, m + 1, C).

        Returns:
            full-resolution map (B, c0, D, H, W), half-resolution map (B, c1, D/2, H/2, W/2), one vector per
            class for each of them: (B, K, c0 + 1) whose last entry is the bias, and (B, K, c1).
        """
        b, k = tokens.shape[:2]
        deepest = maps[-1]
        features, flat = deepest.flatten(2).transpose(1, 2), tokens.flatten(1, 2)
        for block in self.attention:
            features, flat = block(features, flat)
        updated = self.token_norm(flat).unflatten(1, (k, -1))  # (B, K, m+1, C)
        vector = self.mask_vector(torch.cat([updated[:, :, 0], updated[:, :, 1:].mean(2)], dim=-1))
        c0, c1 = maps[0].shape[1], maps[1].shape[1]
        half_vector, full_vector = vector.split([c1, c0 + 1], dim=-1)

        x = features.transpose(1, 2).reshape(deepest.shape)
        half = x
        for narrow, stage, skip in zip(self.narrow, self.stages, reversed(maps[:4]), strict=True):
            half = x
            x = stage(torch.cat([upsample(narrow(x), skip.shape[2:]), skip], dim=1))
        return x, half, full_vector, half_vector


def class_logits(features: Tensor, vector: Tensor, plus: Tensor | None = None) -> Tensor:
    """Dot product of every voxel's features with every class's vector, scaled by 1/sqrt(C).

    Args:
        features: (B, C, D, H, W).
        vector: (B, K, C).
        plus: (B, K, D, H, W), added; its memory may be used for the result.

    Returns:
        (B, K, D, H, W).
    """
    flat = features.permute(0, 2, 3, 4, 1).flatten(1, 3).transpose(1, 2)  # a view of channels-last memory
    vector = vector * vector.shape[-1] ** -0.5
    logits = vector @ flat if plus is None else plus.flatten(2).baddbmm_(vector, flat)
    return logits.unflatten(2, features.shape[2:])
