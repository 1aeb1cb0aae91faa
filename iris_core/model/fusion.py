"""Per-class head: weighs all evidence for one class at half resolution.

Extension to the paper (docs/decisions/0005). Everything class-specific happens in few channels at half
resolution, so that fifteen classes cost hardly more than one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import ModelConfig

PROBABILITY_FLOOR = 0.02  # keeps the logit of a propagated mask finite


def soft_logit(probability: Tensor) -> Tensor:
    """Logit of a probability clamped away from 0 and 1."""
    return torch.logit(probability.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR))


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

    def forward(self, shared: Tensor, own: Tensor, half: Tensor) -> Tensor:
        """One logit map per class.

        Args:
            shared: (B, S, d, h, w) at half resolution, evidence that is the same for all classes.
            own: (B, K, E, d, h, w), evidence per class.
            half: (B, c1, d, h, w), shared by the classes.

        Returns:
            (B, K, d, h, w).
        """
        b, k = own.shape[:2]
        weight = self.from_evidence.weight
        context = F.conv3d(shared, weight[:, : self.shared], self.from_evidence.bias) + self.from_context(
            half
        )
        x = F.conv3d(own.flatten(0, 1), weight[:, self.shared :]).unflatten(0, (b, k))
        x = F.leaky_relu(
            x.add_(context[:, None]).flatten(0, 1), 0.01, inplace=True
        )  # fresh memory costs most here
        x = x + F.leaky_relu(self.mix(x), 0.01, inplace=True)
        return self.out(x)[:, 0].unflatten(0, (b, k))
