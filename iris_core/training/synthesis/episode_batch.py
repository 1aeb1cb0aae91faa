"""The batch of synthetic episodes that training reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch


@dataclass
class EpisodeBatch:
    """B pairs of images with K tasks each."""

    reference_image: torch.Tensor  # (B, 1, D, H, W) float32, z-scored, 0 where padded
    reference_mask: torch.Tensor  # (B, K, D, H, W) float32 of 0 and 1, in 30 % of the tasks a little wrong
    query_image: torch.Tensor  # (B, 1, D, H, W) float32
    query_mask: torch.Tensor  # (B, K, D, H, W) float32 of 0 and 1, exact
    valid: torch.Tensor  # (B, K) bool, the reference mask is not empty
    present: torch.Tensor  # (B, K) bool, the query mask has at least 8 voxels
    # (B, 3) float32 voxels, window centre minus field of view's centre; 0 if unknown
    reference_offset: torch.Tensor
    query_offset: torch.Tensor  # (B, 3) float32
    family: list[str]  # B names of the families of anatomies

    def to(self, device: str) -> EpisodeBatch:
        """The episodes on a device."""
        moved: dict[str, Any] = {n: v.to(device) for n, v in vars(self).items() if torch.is_tensor(v)}
        return replace(self, **moved)
