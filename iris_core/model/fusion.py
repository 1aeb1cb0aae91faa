"""Per-class head: weighs all evidence for one class at half resolution, sharpened by shared guidance maps.

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
    """Evidence maps of a class -> one coarse logit and a few coefficients for the guidance maps.

    Args:
        config: sizes.
        evidence: number of evidence maps per class.
    """

    def __init__(self, config: ModelConfig, evidence: int) -> None:
        super().__init__()
        width = config.evidence_channels
        self.from_evidence = nn.Conv3d(evidence, width, 3, padding=1)
        self.from_context = nn.Conv3d(config.channels[1], width, 3, padding=1, bias=False)
        self.mix = nn.Conv3d(width, width, 3, padding=1)
        self.out = nn.Conv3d(width, 1 + config.guidance_channels, 1)
        self.guidance = nn.Conv3d(config.channels[0], config.guidance_channels, 1)

    def forward(self, evidence: Tensor, half: Tensor, full: Tensor) -> Tensor:
        """One logit map per class.

        Args:
            evidence: (B, K, E, d, h, w) at half resolution.
            half: (B, c1, d, h, w), shared by the classes.
            full: (B, c0, D, H, W), shared by the classes.

        Returns:
            (B, K, D, H, W).
        """
        b, k = evidence.shape[:2]
        shared = self.from_context(half)[:, None]
        x = self.from_evidence(evidence.flatten(0, 1)).unflatten(0, (b, k)) + shared
        x = F.leaky_relu(x.flatten(0, 1), 0.01)
        x = x + F.leaky_relu(self.mix(x), 0.01)
        coarse = self.out(x)  # (BK, 1 + G, d, h, w)
        guidance = torch.cat([torch.ones_like(full[:, :1]), self.guidance(full)], dim=1)  # (B, 1 + G, D, H, W)
        size = full.shape[2:]
        maps = []
        for index, sample_maps in enumerate(coarse.unflatten(0, (b, k))):  # per sample: bounds the memory
            fine = F.interpolate(sample_maps, size=tuple(size), mode="trilinear", align_corners=False)
            maps.append((fine * guidance[index]).sum(1))
        return torch.stack(maps)
