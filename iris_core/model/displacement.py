"""Displacement: an affine map fitted to scattered matches, and a network that refines a field (extension)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 32


def fit_affine(own: Tensor, matches: Tensor, weight: Tensor, ridge: float) -> Tensor:
    """The affine map that sends positions to their matches best, evaluated at those positions.

    Weighted least squares for the displacement, with a ridge that pulls it towards a pure shift.

    Args:
        own: (B, 3, d, h, w), positions.
        matches: (B, 3, d, h, w), where they lie in the reference.
        weight: (B, 1, d, h, w), above 0.
        ridge: of the linear part, relative to the spread of the positions.
    """
    with torch.autocast(own.device.type, enabled=False):
        p, f, w = own.float().flatten(2), matches.float().flatten(2), weight.float().flatten(2)
        w = w / w.sum(-1, keepdim=True)
        centre = (w * p).sum(-1, keepdim=True)
        shift = (w * (f - p)).sum(-1, keepdim=True)
        x, y = p - centre, f - p - shift  # (B, 3, s)
        spread = torch.einsum("bis,bjs->bij", x * w, x)
        scale = spread.diagonal(dim1=1, dim2=2).mean(-1)[:, None, None] + 1e-3
        moment = torch.einsum("bis,bjs->bij", y * w, x)
        eye = torch.eye(3, device=p.device)
        damped = spread + (ridge + 0.1) * scale * eye
        linear = torch.linalg.solve(damped, moment.transpose(1, 2)).transpose(1, 2)
        return (p + shift + linear @ x).unflatten(2, own.shape[2:])


def local_correlation(query: Tensor, there: Tensor) -> Tensor:
    """Cosine of each cell with its 27 neighbours in the moved reference: (B, F, ...) -> (B, 27, d, h, w)."""
    query, there = F.normalize(query, dim=1), F.pad(F.normalize(there, dim=1), (1,) * 6)
    d, h, w = query.shape[2:]
    maps = [
        (query * there[:, :, i : i + d, j : j + h, k : k + w]).sum(1)
        for i in range(3)
        for j in range(3)
        for k in range(3)
    ]
    return torch.stack(maps, dim=1)


class Refinement(nn.Module):
    """One step of a displacement field, from local correlation and the field so far.

    Args:
        width: of the features compared.
        guesses: positions of other guesses, given as hints.
    """

    def __init__(self, width: int, guesses: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(27 + width + 3 + 3 * guesses, HIDDEN, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Conv3d(HIDDEN, HIDDEN, 3, padding=1),
            nn.LeakyReLU(0.01),
            last := nn.Conv3d(HIDDEN, 3, 3, padding=1),
        )
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.get_parameter("bias"))

    def forward(self, query: Tensor, there: Tensor, field: Tensor, guesses: Tensor | None = None) -> Tensor:
        """One step of the field.

        Args:
            query: (B, F, d, h, w), features of the query.
            there: the same shape, features of the reference where the field points.
            field: (B, 3, d, h, w), the displacement so far.
            guesses: (B, 3 n, d, h, w), n other guesses of it, given as hints.

        Returns:
            (B, 3, d, h, w).
        """
        hints = [] if guesses is None else [(guesses - field.repeat(1, guesses.shape[1] // 3, 1, 1, 1)) / 4]
        return self.body(torch.cat([local_correlation(query, there) * 3, query, field / 4, *hints], dim=1))
