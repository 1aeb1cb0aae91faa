"""Where each place of the query lies in the reference: attention with relative position, then a displacement.

Extension to the paper (docs/decisions/0006). One attention matrix carries the masks of all classes, so the
cost hardly grows with them. Position is measured in cells of 4 voxels from the centre of each volume's field
of view; every head learns how much it trusts it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.model.layers import upsample
from iris_core.model.reference_memory import FEATURE_STRIDE, ReferenceMemory

REFINEMENTS = 2  # passes of the displacement network (ours)
MAX_KEYS = 8192  # reference cells that take part in attention; more are pooled 2x2x2 (ours)


def cell_positions(size: tuple[int, int, int] | torch.Size, offset: Tensor) -> Tensor:
    """Centres of the cells of a stride-4 grid. Args: size (d, h, w); offset (B, 3) voxels. Returns: (B, dhw, 3)."""
    axes = [torch.arange(n, device=offset.device, dtype=offset.dtype) - (n - 1) / 2 for n in size]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(1, -1, 3)
    return grid + offset[:, None] / FEATURE_STRIDE


def sample(values: Tensor, positions: Tensor, offset: Tensor, size: tuple[int, int, int] | torch.Size) -> Tensor:
    """Trilinear look-up of a reference grid at positions in cells of 4 voxels.

    Args:
        values: (B, C, ...) on any grid that spans the reference window.
        positions: (B, 3, d, h, w).
        offset: (B, 3) voxels, of the reference window.
        size: stride-4 shape of the reference window.

    Returns:
        (B, C, d, h, w); zeros outside the window.
    """
    half = torch.tensor(size, device=positions.device, dtype=positions.dtype) / 2
    unit = (positions - (offset / FEATURE_STRIDE)[:, :, None, None, None]) / half[None, :, None, None, None]
    grid = unit.permute(0, 2, 3, 4, 1).flip(-1)  # grid_sample wants the last axis first
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class Correspondence(nn.Module):
    """Attention from query cells to reference cells and the displacement field refined from it."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.to_q = nn.Linear(width, heads * width, bias=False)
        self.to_k = nn.Linear(width, heads * width, bias=False)
        for layer in (self.to_q, self.to_k):
            layer.weight.data = torch.eye(width).repeat(heads, 1) + 0.02 * torch.randn(heads * width, width)
        self.log_scale = nn.Parameter(torch.full((heads,), 2.3))  # of the cosine
        self.log_stiffness = nn.Parameter(torch.linspace(-2.0, -6.0, heads))  # of the squared distance
        self.refine = nn.Sequential(
            nn.Conv3d(2 * width + 7, 48, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv3d(48, 32, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv3d(32, 3, 3, padding=1),
        )
        nn.init.normal_(self.refine[-1].weight, std=1e-3)
        nn.init.zeros_(self.refine[-1].bias)

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
        q = self.to_q(query.flatten(2).transpose(1, 2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = self.to_k(keys.flatten(2).transpose(1, 2)).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q = F.normalize(q, dim=-1) * self.log_scale.exp()[:, None, None]  # (B, h, n, F)
        k = F.normalize(k, dim=-1)
        # -a |p - r|^2 = 2a p.r - a |r|^2 + (a constant per row, which softmax drops)
        a = self.log_stiffness.exp()[:, None, None]
        p, r = query_position[:, None], position[:, None]
        ones = p.new_ones(p.shape[0], 1, p.shape[2], 1)
        q = torch.cat([q, 2 * a * p, -a * ones], dim=-1)
        k = torch.cat([k, torch.cat([r, (r * r).sum(-1, keepdim=True)], -1).expand(-1, self.heads, -1, -1)], -1)
        value = torch.cat([masks.flatten(2).transpose(1, 2), position], dim=-1)  # (B, s, K + 3)
        value = value[:, None].expand(-1, self.heads, -1, -1)
        width = -(-max(q.shape[-1], value.shape[-1]) // 8) * 8  # one width for all: the kernel without a matrix
        q, k, padded = (F.pad(t, (0, width - t.shape[-1])) for t in (q, k, value))
        return F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : value.shape[-1]]

    def forward(self, query: Tensor, offset: Tensor, memory: ReferenceMemory) -> tuple[Tensor, Tensor, Tensor]:
        """Maps every class of the reference onto the query.

        Args:
            query: (B, F, d, h, w), the query's matching features at stride 4.
            offset: (B, 3) voxels, of the query window.
            memory: of the reference.

        Returns:
            propagated masks (B, K, heads, d, h, w) and warped masks (B, K, 2d, 2h, 2w), both in [0, 1], and the
            position in the reference (B, 3, d, h, w) in cells.
        """
        size = query.shape[2:]
        own = cell_positions(size, offset)
        carried = self.attend(query, own, memory)
        propagated = carried[..., :-3].permute(0, 3, 1, 2).unflatten(3, size)
        position = carried[:, : self.heads - 1, :, -3:].mean(1).transpose(1, 2).unflatten(2, size)
        own = own.transpose(1, 2).unflatten(2, size)
        free = carried[:, -1, :, -3:].transpose(1, 2).unflatten(2, size)  # the head that trusts position least
        for _ in range(REFINEMENTS):
            there = sample(memory.features, position, memory.offset, memory.features.shape[2:])
            inside = sample(
                torch.ones_like(memory.features[:, :1]), position, memory.offset, memory.features.shape[2:]
            )
            hint = torch.cat([query, there, (position - own) / 4, (free - own) / 4, inside], dim=1)
            position = position + self.refine(hint)
        fine = upsample(position, tuple(2 * n for n in size))
        warped = sample(memory.masks, fine, memory.offset, memory.features.shape[2:])
        return propagated, warped, position
