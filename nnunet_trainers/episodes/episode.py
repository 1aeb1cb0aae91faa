"""LabelledBatch: episodes of real cases, and the drawing of one. Paper: Algorithm 1, lines 4-9."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAST_PRESENT = 8  # voxels of a class that a query window must hold for a Dice term


@dataclass
class LabelledBatch:
    """B episodes of real cases with K classes each.

    Attributes:
        reference_image: (B, 1, D, H, W) float32, 0 where padded.
        query_image: the same.
        reference_mask: (B, K, D, H, W) float32 of 0 and 1, in some episodes a little wrong.
        query_mask: (B, K, D, H, W) float32 of 0 and 1, as drawn.
        valid: (B, K) bool, the reference mask is not empty.
        present: (B, K) bool, the query mask has voxels enough for a Dice term.
        reference_offset: (B, 3) float32 voxels, window centre minus volume centre.
        query_offset: the same.
        groups: B names of the datasets that the episodes come from.
        classes: (B, K) int64, position of each class among the dataset's; -1 where an episode has fewer.
        ignored: (B, 1, D, H, W) bool, query voxels with nnU-Net's ignore label.
    """

    reference_image: Tensor
    reference_mask: Tensor
    query_image: Tensor
    query_mask: Tensor
    valid: Tensor
    present: Tensor
    reference_offset: Tensor
    query_offset: Tensor
    groups: list[str]
    classes: Tensor
    ignored: Tensor

    def to(self, device: torch.device) -> LabelledBatch:
        """The batch on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True)
            for name, value in vars(self).items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def __len__(self) -> int:
        return len(self.groups)

    def parts(self, count: int) -> list[LabelledBatch]:
        """The episodes in `count` batches, equal in size but for one episode."""
        count = min(count, len(self))
        split = {name: value.tensor_split(count) for name, value in vars(self).items() if name != "groups"}
        groups = [part.tolist() for part in np.array_split(np.array(self.groups), count)]
        return [
            LabelledBatch(groups=own, **{name: pieces[n] for name, pieces in split.items()})
            for n, own in enumerate(groups)
        ]

    def to_mapping(self) -> dict[str, object]:
        """The batch as nnU-Net's loaders hand it on: a mapping of tensors."""
        return dict(vars(self))

    @classmethod
    def of_mapping(cls, mapping: dict[str, Any]) -> LabelledBatch:
        """The batch of such a mapping; other keys are left out."""
        return cls(**{field.name: mapping[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Episode:
    """One reference and one query with K classes, in (i, j, k).

    Args:
        reference_image: (1, D, H, W).
        query_image: (1, D, H, W).
        reference_mask: (K, D, H, W) bool.
        query_mask: (K, D, H, W) bool.
        ignored: (1, D, H, W) bool, of the query.
        reference_offset: (3,).
        query_offset: (3,).
        classes: K positions among the dataset's classes.
        group: the dataset it comes from.
    """

    reference_image: Tensor
    reference_mask: Tensor
    query_image: Tensor
    query_mask: Tensor
    ignored: Tensor
    reference_offset: Tensor
    query_offset: Tensor
    classes: tuple[int, ...]
    group: str


def collate(episodes: Sequence[Episode]) -> LabelledBatch:
    """Puts episodes into a batch; where one has fewer classes than another, the rest is not valid."""
    most = max(len(e.classes) for e in episodes)
    reference_mask = torch.stack([_filled(e.reference_mask, most) for e in episodes])
    query_mask = torch.stack([_filled(e.query_mask, most) for e in episodes])
    return LabelledBatch(
        reference_image=torch.stack([e.reference_image for e in episodes]),
        reference_mask=reference_mask,
        query_image=torch.stack([e.query_image for e in episodes]),
        query_mask=query_mask,
        valid=reference_mask.flatten(2).any(-1),
        present=query_mask.flatten(2).sum(-1) >= LEAST_PRESENT,
        reference_offset=torch.stack([e.reference_offset for e in episodes]),
        query_offset=torch.stack([e.query_offset for e in episodes]),
        groups=[e.group for e in episodes],
        classes=torch.tensor([[*e.classes, *[-1] * (most - len(e.classes))] for e in episodes]),
        ignored=torch.stack([e.ignored for e in episodes]),
    )


def _filled(masks: Tensor, most: int) -> Tensor:
    result = torch.zeros(most, *masks.shape[1:])
    result[: len(masks)] = masks
    return result
