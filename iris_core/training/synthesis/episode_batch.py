"""The batch of synthetic episodes that training reads."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class EpisodeBatch:
    """B pairs of images with K tasks each.

    Attributes:
        reference_image: (B, 1, D, H, W) float32, z-scored, 0 where padded.
        reference_mask: (B, K, D, H, W) float32 of 0 and 1, in 30 % of the tasks a little wrong.
        query_image: (B, 1, D, H, W) float32.
        query_mask: (B, K, D, H, W) float32 of 0 and 1, exact.
        valid: (B, K) bool, the reference mask is not empty.
        present: (B, K) bool, the query mask has at least 8 voxels.
        reference_offset: (B, 3) float32 voxels, window centre minus field of view's centre; 0 if unknown.
        query_offset: (B, 3) float32.
        family: B names of the families of anatomies.
        reference_points: (B, 3, D/2, H/2, W/2) float32, the place of the anatomy that each cell of 2^3 voxels
            shows, in voxels; the same place has the same numbers in the query. None: not drawn, as the next
            three.
        reference_kinds: (B, D/2, H/2, W/2) uint8, label of a cell that lies in one label; 0: not comparable.
        query_points: `reference_points` of the query.
        query_kinds: `reference_kinds` of the query.
    """

    reference_image: torch.Tensor
    reference_mask: torch.Tensor
    query_image: torch.Tensor
    query_mask: torch.Tensor
    valid: torch.Tensor
    present: torch.Tensor
    reference_offset: torch.Tensor
    query_offset: torch.Tensor
    family: list[str]
    reference_points: torch.Tensor | None = None
    reference_kinds: torch.Tensor | None = None
    query_points: torch.Tensor | None = None
    query_kinds: torch.Tensor | None = None

    @property
    def reference_places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`reference_points` and `reference_kinds`.

        Raises:
            ValueError: the batch was drawn without them.
        """
        return _drawn(self.reference_points, self.reference_kinds)

    @property
    def query_places(self) -> tuple[torch.Tensor, torch.Tensor]:
        """`query_points` and `query_kinds`.

        Raises:
            ValueError: the batch was drawn without them.
        """
        return _drawn(self.query_points, self.query_kinds)


def _drawn(points: torch.Tensor | None, kinds: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    if points is None or kinds is None:
        raise ValueError("the episodes were drawn without the places of the anatomy")
    return points, kinds
