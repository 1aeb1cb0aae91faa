"""Per-class head: weighs all evidence for one class at half resolution.

Extension to the paper (docs/decisions/0005). Everything class-specific happens in few channels at half
resolution, so that fifteen classes cost hardly more than one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import ModelConfig

CLASSES_AT_ONCE = 2  # small enough for the cache and for memory that is used again


class EvidenceHead(nn.Module):
    """Evidence maps of a class -> one logit map at half resolution.

    Args:
        config: sizes.
        shared: number of evidence maps that all classes share.
        own: number of evidence maps per class.
    """

    def __init__(self, config: ModelConfig, shared: int, own: int) -> None:
        super().__init__()
        width = config.evidence_channels
        self.shared = shared
        self.from_evidence = nn.Conv3d(shared + own, width, 1)
        self.from_context = nn.Conv3d(config.channels[1], width, 3, padding=1, bias=False)
        self.mix = nn.Conv3d(width, width, 3, padding=1)
        self.out = nn.Conv3d(width, 1, 1)

    def forward(self, shared: Tensor, own: Sequence[Tensor], half: Tensor) -> Tensor:
        """One logit map per class.

        Args:
            shared: (B, S, d, h, w) at half resolution, evidence that is the same for all classes.
            own: parts (B, K, e, d, h, w) of the evidence per class; missing ones at the end count as zeros.
            half: (B, c1, d, h, w), shared by the classes.

        Returns:
            (B, K, d, h, w).
        """
        weight = self.from_evidence.weight
        given = self.shared + sum(part.shape[2] for part in own)
        context = F.conv3d(shared, weight[:, : self.shared], self.from_evidence.bias)
        context = context + self.from_context(half)
        maps = []
        for first in range(0, own[0].shape[1], CLASSES_AT_ONCE):
            evidence = torch.cat([part[:, first : first + CLASSES_AT_ONCE] for part in own], dim=2)
            x = F.conv3d(evidence.flatten(0, 1), weight[:, self.shared : given])
            x = x.unflatten(0, evidence.shape[:2])
            x = F.leaky_relu(x.add_(context[:, None]).flatten(0, 1), 0.01, inplace=True)
            x = x + F.leaky_relu(self.mix(x), 0.01, inplace=True)
            maps.append(self.out(x)[:, 0].unflatten(0, evidence.shape[:2]))
        return torch.cat(maps, dim=1)
