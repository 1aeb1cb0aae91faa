"""Where each place of the query lies in the reference: attention with relative position, then a displacement.

Extension to the paper (docs/decisions/0006). One attention matrix carries the masks of all classes, so the
cost hardly grows with them. Position is measured in cells of 4 voxels from the centre of each volume's field
of view; every head learns how much it trusts it. Three guesses (a head that trusts position, one that hardly
does, and the affine map fitted to the latter) compete by how well features agree there; small networks then
refine the winner from local correlations, first in cells of 4 voxels, then of 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.model.displacement import Refinement, fit_affine
from iris_core.model.layers import box_mean, upsample
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory

REFINEMENTS = (2, 1)  # passes of the displacement networks at strides 4 and 2 (ours)
AGREEMENT_SIDE = 3  # cells, side of the box over which agreement of features is averaged (ours)
RIDGE = 1e-2  # of the affine fit, towards the identity (ours)
HEADS = 2  # of the attention (ours)
SLIPPED = 1.25  # cells from where a placed memory lies, beyond which a guess is another place (ours)
MAX_KEYS = 8192  # reference cells that take part in attention; more are pooled 2x2x2 (ours)


class Places(NamedTuple):
    """Where the cells of a query lie in a reference, all in cells of 4 voxels.

    Args:
        propagated: (B, K, heads, d, h, w), masks by attention alone, in [0, 1].
        cells: (B, 3, d, h, w), the query's own positions at stride 4.
        own: (B, 3, 2d, 2h, 2w), the same at stride 2.
        position: (B, 3, 2d, 2h, 2w), where these lie in the reference.
    """

    propagated: Tensor
    cells: Tensor
    own: Tensor
    position: Tensor


class Match(NamedTuple):
    """A reference mapped onto a query.

    Attributes:
        warped: (B, K, 2d, 2h, 2w), masks by the displacement, in [0, 1].
        agreement: (B, 1, 2d, 2h, 2w), of the features there, in [-1, 1].
        displacement: (B, 3, 2d, 2h, 2w), cells of 4 voxels.
    """

    warped: Tensor
    agreement: Tensor
    displacement: Tensor


def cell_positions(size: tuple[int, int, int] | torch.Size, offset: Tensor) -> Tensor:
    """Centres (B, dhw, 3) of the cells of a stride-4 grid (d, h, w), in cells, moved by (B, 3) voxels."""
    axes = [torch.arange(n, device=offset.device, dtype=offset.dtype) - (n - 1) / 2 for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, 3)
    return grid + offset[:, None] / FEATURE_STRIDE


def sample(
    values: Tensor, positions: Tensor, offset: Tensor, size: Sequence[float], outside: str = "zeros"
) -> Tensor:
    """Trilinear look-up of a reference grid at positions in cells of 4 voxels.

    Args:
        values: (B, C, ...) on any grid that spans the reference window.
        positions: (B, 3, d, h, w).
        offset: (B, 3) voxels, of the reference window.
        size: stride-4 shape of the reference window.
        outside: what counts outside the window: "zeros", or its "border".

    Returns:
        (B, C, d, h, w).
    """
    half = torch.tensor(size, device=positions.device, dtype=positions.dtype) / 2
    unit = (positions - (offset / FEATURE_STRIDE)[:, :, None, None, None]) / half[None, :, None, None, None]
    grid = unit.permute(0, 2, 3, 4, 1).flip(-1)  # grid_sample wants the last axis first
    return F.grid_sample(values, grid, mode="bilinear", padding_mode=outside, align_corners=False)


def warp_at(cells: Tensor, memory: ReferenceMemory) -> Tensor:
    """By how much a query's cells, (B, 3, d, h, w) as in `sample`, lie elsewhere in a memory placed in it."""
    warp, side, offset = memory.warp, memory.warp_cell, memory.warp_offset
    if warp is None or side is None or offset is None:
        return torch.zeros_like(cells)
    size = [n * c / FEATURE_STRIDE for n, c in zip(warp.shape[2:], side[0].tolist(), strict=True)]
    return sample(warp, cells, offset, size, "border") / FEATURE_STRIDE


class Correspondence(nn.Module):
    """Attention from query cells to reference cells and the displacement field refined from it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(width, HEADS * width, bias=False)
        self.to_k = nn.Linear(width, HEADS * width, bias=False)
        for layer in (self.to_q, self.to_k):
            layer.weight.data = torch.eye(width).repeat(HEADS, 1) + 0.02 * torch.randn(HEADS * width, width)
        self.log_scale = nn.Parameter(torch.full((HEADS,), 2.3))  # of the cosine
        self.log_stiffness = nn.Parameter(torch.linspace(-2.0, -6.0, HEADS))  # of the squared distance
        self.log_choice = nn.Parameter(torch.tensor(1.5))  # how sharply agreement chooses between guesses
        self.coarse = Refinement(width, guesses=HEADS + 1)
        self.fine = Refinement(width // 2, guesses=0)

    def attend(self, query: Tensor, query_position: Tensor, memory: ReferenceMemory) -> Tensor:
        """Propagates masks and positions.

        Args:
            query: (B, F, d, h, w) matching features.
            query_position: (B, dhw, 3).
            memory: of the reference.

        Returns:
            (B, heads, dhw, K + 3): propagated masks, and the mean position in the reference.
        """
        keys, masks = memory.features, F.avg_pool3d(memory.masks, 2)
        position = cell_positions(keys.shape[2:], memory.offset)  # (B, s, 3)
        while position.shape[1] > MAX_KEYS:
            position = F.avg_pool3d(position.transpose(1, 2).unflatten(2, keys.shape[2:]), 2, ceil_mode=True)
            position = position.flatten(2).transpose(1, 2)
            keys, masks = F.avg_pool3d(keys, 2, ceil_mode=True), F.avg_pool3d(masks, 2, ceil_mode=True)
        q = self.to_q(query.flatten(2).transpose(1, 2)).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        k = self.to_k(keys.flatten(2).transpose(1, 2)).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        q = F.normalize(q, dim=-1) * self.log_scale.exp()[:, None, None]  # (B, h, n, F)
        k = F.normalize(k, dim=-1)
        # -a |p - r|^2 = 2a p.r - a |r|^2 + (a constant per row, which softmax drops)
        a = self.log_stiffness.exp()[:, None, None]
        p, r = query_position[:, None], position[:, None]
        ones = p.new_ones(p.shape[0], 1, p.shape[2], 1)
        q = torch.cat([q, 2 * a * p, -a * ones], dim=-1)
        place = torch.cat([r, (r * r).sum(-1, keepdim=True)], dim=-1)
        k = torch.cat([k, place.expand(-1, HEADS, -1, -1)], dim=-1)
        value = torch.cat([masks.flatten(2).transpose(1, 2), position], dim=-1)  # (B, s, K + 3)
        value = value[:, None].expand(-1, HEADS, -1, -1)
        # one width for all: the kernel that builds no matrix needs it
        width = -(-max(q.shape[-1], value.shape[-1]) // 8) * 8
        q, k, padded = (F.pad(t, (0, width - t.shape[-1])) for t in (q, k, value))
        return F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : value.shape[-1]]

    def guess(
        self, query: Tensor, own: Tensor, carried: Tensor, memory: ReferenceMemory
    ) -> tuple[Tensor, Tensor]:
        """Positions from attention and from an affine fit, mixed by how well features agree there.

        Args:
            query: (B, F, d, h, w).
            own: (B, 3, d, h, w), positions of the query's cells.
            carried: (B, heads, dhw, 3), positions by attention.
            memory: of the reference.

        Returns:
            the mixture (B, 3, d, h, w) and the guesses (B, 3 * guesses, d, h, w), relative to `own`.
        """
        size = query.shape[2:]
        places = [p.transpose(1, 2).unflatten(2, size) for p in carried.unbind(1)]
        trust = self._agreement(query, places[-1], memory)  # of the head that trusts position least
        places.append(fit_affine(own, places[-1], trust.clamp_min(0) ** 2 + 1e-3, RIDGE))
        if memory.warp is not None:  # a guess that is far away has slipped to a look-alike
            places = [torch.where((p - own).norm(dim=1, keepdim=True) <= SLIPPED, p, own) for p in places]
        scores = torch.stack([self._agreement(query, p, memory) for p in places], dim=1)  # (B, G, 1, d, h, w)
        weights = (scores * self.log_choice.exp()).softmax(1)
        stacked = torch.stack(places, dim=1)
        return (weights * stacked).sum(1), (stacked - own[:, None]).flatten(1, 2)

    def _agreement(self, query: Tensor, position: Tensor, memory: ReferenceMemory) -> Tensor:
        """Cosine of the query's features and the reference's at a position, box-averaged: (B, 1, d, h, w)."""
        there = sample(memory.features, position, memory.offset, memory.features.shape[2:])
        score = F.cosine_similarity(query, there, dim=1)[:, None]
        return box_mean(score, AGREEMENT_SIDE)

    def find(self, query: Tensor, fine: Tensor, offset: Tensor, memory: ReferenceMemory) -> Places:
        """Where each cell of the query lies in the reference.

        Args:
            query: (B, F, d, h, w), the query's matching features at stride 4.
            fine: (B, F/2, 2d, 2h, 2w), the same at stride 2.
            offset: (B, 3) voxels, of the query window.
            memory: of the reference.
        """
        size, whole = query.shape[2:], memory.features.shape[2:]
        cells = cell_positions(size, offset).transpose(1, 2).unflatten(2, size)
        start = cells if memory.warp is None else cells + warp_at(cells, memory)
        carried = self.attend(query, start.flatten(2).transpose(1, 2), memory)
        propagated = carried[..., :-3].permute(0, 3, 1, 2).unflatten(3, size)
        position, guesses = self.guess(query, start, carried[..., -3:], memory)

        def look(values: Tensor, at: Tensor) -> Tensor:
            return sample(values, at, memory.offset, whole)

        for _ in range(REFINEMENTS[0]):
            position = position + self.coarse(
                query, look(memory.features, position), position - start, guesses
            )
        position, start = (upsample(one, fine.shape[2:]) for one in (position, start))
        for _ in range(REFINEMENTS[1]):
            step = self.fine(fine, look(memory.fine, position), position - start)
            position = position + step / 2  # in cells of 4 voxels, while the network thinks in cells of 2
        return Places(propagated, cells, upsample(cells, fine.shape[2:]), position)

    def read(self, fine: Tensor, memory: ReferenceMemory, places: Places) -> Match:
        """What the reference shows at these places of the query."""
        whole = memory.features.shape[2:]
        there = sample(memory.fine, places.position, memory.offset, whole)
        agreement = F.cosine_similarity(fine, there, dim=1)[:, None]
        warped = sample(memory.masks, places.position, memory.offset, whole)
        return Match(warped, agreement, places.position - places.own)
