"""A coarse fit of one field to another, quick enough to try many places: coupled convex optimisation.

After Heinrich et al. (MICCAI 2014): the difference at all displacements of up to a few cells; then, in turns,
each cell takes its best displacement near the smoothed one, and the displacements are smoothed, with a
coupling that grows. Two rounds, with the affine map of the first as the start of the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.place.descriptor import mean_around

COUPLINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
STIFFNESS = 3.0  # of the affine map, towards a mere shift, in squared cells


@dataclass(frozen=True)
class Affine:
    """position = matrix @ cell + shift, cells from the centres of both fields.

    Args:
        matrix: (3, 3).
        shift: (3,) cells.
    """

    matrix: Tensor
    shift: Tensor

    def __call__(self, cells: Tensor) -> Tensor:
        """Positions (3, d, h, w) of cells."""
        return (self.matrix @ cells.flatten(1) + self.shift[:, None]).view_as(cells)


@dataclass(frozen=True)
class CoarseFit:
    """Where the query's cells lie in the reference.

    Args:
        position: (3, d, h, w), cells from the reference's centre.
        inside: (d, h, w) bool, they lie in the reference's field.
        difference: (d, h, w), squared, of the descriptors there.
        start: the affine map that was fitted from.
    """

    position: Tensor
    inside: Tensor
    difference: Tensor
    start: Affine

    @property
    def unexplained(self) -> float:
        """Mean difference where both fields show something; infinity where they hardly do."""
        cells = int(self.inside.sum())
        return float(self.difference[self.inside].mean()) if cells else float("inf")


def centred(shape: torch.Size, margin: int = 0) -> Tensor:
    """(3, d, h, w): the cells of a grid, with a margin, from its centre."""
    axes = [torch.arange(-margin, n + margin) - (n - 1) / 2 for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def look_up(field: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
    """A field (F, d, h, w) at positions (3, ...), and where these lie in it, bool (...)."""
    size = torch.tensor(field.shape[1:], dtype=torch.float32).view(3, 1, 1, 1)
    grid = (2 * position / size).flip(0).permute(1, 2, 3, 0)[None]
    values = F.grid_sample(field[None], grid, align_corners=False, padding_mode="border")[0]
    return values, (position.abs() <= (size - 1) / 2 + 1e-3).all(0)


def fitted(query: Tensor, reference: Tensor, start: Affine, usual: float, reach: int) -> CoarseFit:
    """Fits a query's field to a reference's.

    Args:
        query: (F, d, h, w).
        reference: (F, d', h', w').
        start: an affine map to begin with.
        usual: difference of cells taken at random; it counts where there is no reference.
        reach: cells to each side that are searched.
    """
    there, shown = look_up(reference, start(centred(query.shape[1:], reach)))
    moved = centred(query.shape[1:]) + _displacement(query, there, shown, usual, reach)
    position = start(moved)
    values, inside = look_up(reference, position)
    return CoarseFit(position, inside, (query - values).square().sum(0), start)


def affine_of(fit: CoarseFit, usual: float) -> Affine:
    """The affine map nearest to a fit, where it explains something."""
    weight = (fit.inside * (1 - fit.difference / usual).clamp_min(0)).flatten()
    if not bool(weight.sum() > 0):
        return fit.start
    cells, positions = centred(fit.inside.shape).flatten(1), fit.position.flatten(1)
    middle = (cells * weight).sum(1) / weight.sum()
    about = torch.cat([cells - middle[:, None], torch.ones_like(cells[:1])])
    stiff = STIFFNESS * weight.sum() * torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0]))
    found = torch.linalg.solve((about * weight) @ about.T + stiff, (about * weight) @ (positions - cells).T).T
    matrix = found[:, :3] + torch.eye(3)
    return Affine(matrix, found[:, 3] + middle - matrix @ middle)


def _displacement(query: Tensor, there: Tensor, shown: Tensor, usual: float, reach: int) -> Tensor:
    """(3, d, h, w): smooth, in cells of the moved reference, `there`, which has a margin of `reach`."""
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    tried = torch.cartesian_prod(steps, steps, steps)
    costs = query.new_empty(len(tried), *query.shape[1:])
    for cost, step in zip(costs, (tried + reach).int().tolist(), strict=True):
        cut = tuple(slice(s, s + n) for s, n in zip(step, query.shape[1:], strict=True))
        difference = (query - there[(slice(None), *cut)]).square().sum(0)
        cost.copy_(torch.where(shown[cut], difference, usual))
    costs = mean_around(costs[None])[0]
    lengths = tried.square().sum(1)
    found = tried[costs.argmin(0)].permute(3, 0, 1, 2)[None]
    for coupling in COUPLINGS:
        found = mean_around(mean_around(found))
        # |u - v|^2 = |u|^2 - 2 u.v + what is the same for all u
        near = lengths[:, None] - 2 * tried @ found[0].flatten(1)
        best = (costs.flatten(1) + coupling * near).argmin(0)
        found = tried[best].T.view_as(found)
    return mean_around(mean_around(found))[0]
