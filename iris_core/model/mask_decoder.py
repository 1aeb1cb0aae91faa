"""Mask decoding module: bidirectional cross-attention, then one U-Net expansion for all classes.

Paper: 3.2.2, Eq. 5-6.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import ModelConfig
from iris_core.model.layers import Attention, FeedForward, stage, upsample, upsample_many

CONTEXT_GAIN = 100.0  # of balanced contextual tokens, at first: their length in weights without balance
LIKENESS = 4.0  # of the cosine with the foreground embedding, at first (ours)


class BidirectionalBlock(nn.Module):
    """Tokens read the features, then the features read the tokens."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.tokens_from_features = Attention(channels, heads)
        self.tokens_feed_forward = FeedForward(channels)
        self.features_from_tokens = Attention(channels, heads)
        self.features_feed_forward = FeedForward(channels)

    def forward(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, dhw, C) and tokens (B, K(m+1), C) after each has read the other."""
        tokens = self.tokens_feed_forward(self.tokens_from_features(tokens, features))
        features = self.features_feed_forward(self.features_from_tokens(features, tokens))
        return features, tokens


class Expanded(NamedTuple):
    """The decoder's result: maps that all classes share, and vectors of each class for them."""

    maps: tuple[Tensor, ...]  # (B, C, d, h, w) at strides 8, 4, 2 and 1
    full_vector: Tensor  # (B, K, c0 + 1) for stride 1; the last entry is the bias
    half_vector: Tensor  # (B, K, c1) for stride 2
    deep_vectors: tuple[Tensor, ...]  # for strides 8 and 4; empty where the network has none
    # (B, K, d, h, w) at stride 8, logits of how much the query looks like each class's foreground; None where
    # the network has no deep vectors
    likeness: Tensor | None

    def coarse_logits(self) -> tuple[Tensor, list[Tensor]]:
        """The logits of the class vectors on coarse maps.

        Returns:
            logits (B, K, d, h, w) at stride 2 alone; and at strides 8, 4 and 2 (or at 2 alone) the sums of
            all coarser ones and their own.
        """
        vectors = (*self.deep_vectors, self.half_vector)
        sums: list[Tensor] = []
        below = self.likeness
        for features, vector in zip(self.maps[-1 - len(vectors) : -1], vectors, strict=True):
            own = class_logits(features, vector)
            below = own if below is None else own + upsample_many(below, own.shape[2:])
            sums.append(below)
        return own, sums


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
        if config.balanced_tokens:
            self.log_context_gain = nn.Parameter(torch.tensor(CONTEXT_GAIN).log())
        self.narrow = nn.ModuleList(
            nn.Conv3d(channels[level + 1], channels[level], 1, bias=False) for level in reversed(range(4))
        )
        self.stages = nn.ModuleList(
            stage(2 * channels[level], channels[level], config.decoder_blocks[level])
            for level in reversed(range(4))
        )
        self.mask_vector = nn.Sequential(
            nn.Linear(2 * deepest, deepest), nn.GELU(), nn.Linear(deepest, channels[0] + channels[1] + 1)
        )
        if config.deep_vectors:  # they begin at nothing, so that weights without them go on as they are
            self.deep_vector = nn.Linear(deepest, channels[3] + channels[2])
            nn.init.zeros_(self.deep_vector.weight)
            nn.init.zeros_(self.deep_vector.bias)
            self.log_likeness = nn.Parameter(torch.tensor(LIKENESS).log())

    def forward(self, maps: tuple[Tensor, ...], tokens: Tensor) -> Expanded:
        """One pass for all classes over the encoder's five maps of a query, by tokens (B, K, m + 1, C)."""
        _b, k = tokens.shape[:2]
        deepest = maps[-1]
        foreground = tokens[:, :, 0]
        if hasattr(self, "log_context_gain"):
            tokens = torch.cat([tokens[:, :, :1], tokens[:, :, 1:] * self.log_context_gain.exp()], dim=2)
        features, flat = deepest.flatten(2).transpose(1, 2), tokens.flatten(1, 2)
        for block in self.attention:
            features, flat = block(features, flat)
        updated = self.token_norm(flat).unflatten(1, (k, -1))  # (B, K, m+1, C)
        hidden = self.mask_vector[:-1](torch.cat([updated[:, :, 0], updated[:, :, 1:].mean(2)], dim=-1))
        c0, c1 = maps[0].shape[1], maps[1].shape[1]
        half_vector, full_vector = self.mask_vector[-1](hidden).split([c1, c0 + 1], dim=-1)

        x = features.transpose(1, 2).reshape(deepest.shape)
        levels = [x]
        for narrow, expand, skip in zip(self.narrow, self.stages, reversed(maps[:4]), strict=True):
            x = expand(torch.cat([upsample(narrow(x), skip.shape[2:]), skip], dim=1))
            levels.append(x)
        if not hasattr(self, "deep_vector"):
            return Expanded(tuple(levels[1:]), full_vector, half_vector, (), None)
        deep = self.deep_vector(hidden).split([maps[3].shape[1], maps[2].shape[1]], dim=-1)
        alike = self.log_likeness.exp() * likeness(deepest, foreground, maps[3].shape[2:])
        return Expanded(tuple(levels[1:]), full_vector, half_vector, deep, alike)


def likeness(features: Tensor, foreground: Tensor, size: tuple[int, int, int] | torch.Size) -> Tensor:
    """Cosine (B, K, *size) of features with each class's foreground embedding, both less the query's mean.

    Args:
        features: (B, C, d, h, w), the deepest map.
        foreground: (B, K, C), T_f of Eq. 2, which lives among such features.
        size: of the result.
    """
    mean = features.mean((2, 3, 4))
    here = F.normalize(upsample(features, size).flatten(2) - mean[..., None], dim=1)
    there = F.normalize(foreground - mean[:, None], dim=-1)
    return (there @ here).unflatten(2, tuple(size))


def class_logits(features: Tensor, vector: Tensor, plus: Tensor | None = None) -> Tensor:
    """Dot product of features (B, C, D, H, W) with class vectors (B, K, C), scaled by 1/sqrt(C).

    `plus` (B, K, D, H, W) is added; its memory may be used for the result, which has its shape.
    """
    flat = features.permute(0, 2, 3, 4, 1).flatten(1, 3).transpose(1, 2)  # a view of channels-last memory
    vector = vector * vector.shape[-1] ** -0.5
    if plus is None:
        logits = vector @ flat
    elif plus.dtype == vector.dtype == flat.dtype:
        logits = plus.flatten(2).baddbmm_(vector, flat)
    else:  # under autocast
        logits = plus.flatten(2) + vector @ flat
    return logits.unflatten(2, features.shape[2:])
