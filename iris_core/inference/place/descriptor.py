"""What a whole field of view looks like, cell by cell, whatever its contrast: MIND-SSC descriptors.

The modality independent neighbourhood descriptor in its self-similarity context form (Heinrich et al., MICCAI
2013): how alike pairs of patches around a voxel are, so edges and textures count and brightness does not.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.stages import PlaceSearchSettings
from iris_core.preprocessing.grid import Spacing
from iris_core.triple import triple

POOLED = 2  # voxels of the descriptor per side of a cell (ours)
AROUND = ((0, 1, 1), (1, 1, 0), (1, 0, 1), (1, 1, 2), (2, 1, 1), (1, 2, 1))  # the six neighbours, 0 to 2
APART = 2  # voxels from a voxel to its neighbours
PAIRS = [
    (a, b)
    for a in range(6)
    for b in range(a)
    if sum((p - q) ** 2 for p, q in zip(AROUND[a], AROUND[b], strict=True)) == 2  # not opposite each other
]
LEAST_SIDE = 3  # cells along an axis


def whole_field(image: Tensor, spacing: Spacing, settings: PlaceSearchSettings) -> dict[str, Tensor]:
    """The fields `field` and `field_cell` of a ReferenceMemory.

    Args:
        image: (1, D, H, W), z-scored, all that the reference shows.
        spacing: of its voxels, mm; cells are cubes of that space.
        settings: how many voxels the descriptor has.
    """
    sizes = torch.tensor(spacing)
    side = max((prod(image.shape[1:]) * prod(spacing) / settings.field_voxels) ** (1 / 3), min(spacing))
    cell = (POOLED * side / sizes).half().float()  # as a card keeps it
    return {"field": cells_of(image, cell), "field_cell": cell[None]}


def cells_of(image: Tensor, cell: Tensor) -> Tensor:
    """Descriptors of an image in cells.

    Args:
        image: (1, D, H, W).
        cell: (3,) voxels along the sides of a cell.

    Returns:
        (1, 12, d, h, w) in [0, 1]; as many cells as fit, at least three along an axis.
    """
    shape = [
        POOLED * max(LEAST_SIDE, round(n / c)) for n, c in zip(image.shape[1:], cell.tolist(), strict=True)
    ]
    return F.avg_pool3d(_descriptor(_resampled(image[None].float(), shape)), POOLED)


def _resampled(image: Tensor, shape: list[int]) -> Tensor:
    """(1, 1, D, H, W) on another grid, axis by axis: means where it is coarser, else linear."""
    for axis, (old, new) in enumerate(zip(image.shape[2:], shape, strict=True)):
        size = [*image.shape[2:]]
        size[axis] = new
        image = F.interpolate(image, size, mode="area" if new <= old else "trilinear")
    return image


def _descriptor(image: Tensor) -> Tensor:
    """(1, 12, D, H, W) of an image (1, 1, D, H, W)."""
    sides = image.shape[2:]
    padded = F.pad(image, [APART] * 6, mode="replicate")
    near = []
    for steps in AROUND:
        box = triple(slice(APART * s, APART * s + n) for s, n in zip(steps, sides, strict=True))
        near.append(padded[(..., *box)])
    unlike = torch.cat([mean_around((near[a] - near[b]) ** 2) for a, b in PAIRS], dim=1)
    unlike = unlike - unlike.amin(1, keepdim=True)
    usual = unlike.mean(1, keepdim=True)
    usual = usual.clamp(1e-3 * float(usual.mean()), 1e3 * float(usual.mean())).clamp_min(1e-12)
    return (-unlike / usual).exp()


def mean_around(values: Tensor) -> Tensor:
    """Mean over 3^3 cells of (B, C, d, h, w); at the border the outermost cell counts again."""
    return F.avg_pool3d(F.pad(values, [1] * 6, mode="replicate"), 3, 1)
