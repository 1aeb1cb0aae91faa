"""Painting: anatomies and voxel places in, label volumes out.

Objects are implicit, so each is evaluated only in the 4^3 blocks it can reach: a ball test on the block
centres, then the object's own formula with swollen radii, then the formula at the voxels.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch

from iris_core.training.synthesis.anatomy import Anatomy
from iris_core.training.synthesis.primitive import Primitive, inside, own_coordinates, size, swollen

BLOCK = 4
SLACK = 4.5  # voxels of anatomy between a block's centre and its corners, stretched
CHUNK = 4096  # blocks evaluated at once
NOTHING = 255


def paint(
    anatomies: list[Anatomy],
    objects: list[list[Primitive]],
    merged: list[dict[int, int]],
    places: torch.Tensor,
) -> torch.Tensor:
    """Label volumes of B images.

    Args:
        anatomies: B anatomies, for their base layers.
        objects: the objects of each image in painting order.
        merged: for each image, base labels that it lacks, and the base label in their place.
        places: (B, D, H, W, 3) anatomy coordinates of the voxels; sides are multiples of 4.

    Returns:
        (B, D, H, W) uint8.
    """
    batch, *shape, _ = places.shape
    d, h, w = (n // BLOCK for n in shape)
    blocks = places.view(batch, d, BLOCK, h, BLOCK, w, BLOCK, 3).permute(0, 1, 3, 5, 2, 4, 6, 7)
    blocks = blocks.reshape(batch, d * h * w, BLOCK**3, 3)
    label = torch.empty(blocks.shape[:3], dtype=torch.uint8, device=places.device)
    for out, points, anatomy, lacking in zip(label, blocks, anatomies, merged, strict=True):
        base = anatomy.base.labels(points.view(-1, 3)).view(out.shape)
        for old, new in lacking.items():
            base = torch.where(base == old, new, base)
        out.copy_(base)
    _paint_objects(label.view(-1, BLOCK**3), objects, blocks)
    label = label.view(batch, d, h, w, BLOCK, BLOCK, BLOCK).permute(0, 1, 4, 2, 5, 3, 6)
    return label.reshape(batch, *shape)


def _paint_objects(label: torch.Tensor, objects: list[list[Primitive]], blocks: torch.Tensor) -> None:
    """Writes the objects into `label` (B * blocks, 64) in place."""
    flat = [(image, order, o) for image, many in enumerate(objects) for order, o in enumerate(many)]
    if not flat:
        return
    device = blocks.device
    rows = torch.from_numpy(np.stack([o.packed() for _, _, o in flat])).to(device)
    cuts = torch.tensor([o.cuts for _, _, o in flat], dtype=torch.float32, device=device)
    reach = torch.tensor([o.reach for _, _, o in flat], dtype=torch.float32, device=device)
    image = torch.tensor([i for i, _, _ in flat], device=device)
    order = torch.tensor([n for _, n, _ in flat], device=device)
    value = torch.tensor([o.label for _, _, o in flat], dtype=torch.uint8, device=device)
    which, block = _reached(rows, reach, image, order, blocks)
    row = image[which] * blocks.shape[1] + block
    ranks = order[which]
    ends = torch.searchsorted(ranks, torch.arange(int(order.max()) + 2, device=device)).tolist()
    painted = torch.empty((row.numel(), BLOCK**3), dtype=torch.uint8, device=device)
    points = blocks.view(-1, BLOCK**3, 3)
    for start in range(0, row.numel(), CHUNK):
        part_of = which[start : start + CHUNK]
        hit, part = inside(rows[part_of], points[row[start : start + CHUNK]], cuts[part_of])
        painted[start : start + CHUNK] = torch.where(hit, value[part_of].unsqueeze(1) + part, NOTHING)
    for start, end in itertools.pairwise(ends):  # one layer of each image at a time
        at, new = row[start:end], painted[start:end]
        label[at] = torch.where(new != NOTHING, new, label[at])


def _reached(
    rows: torch.Tensor, reach: torch.Tensor, image: torch.Tensor, order: torch.Tensor, blocks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs (object, block) that may touch, sorted by painting order."""
    centres = blocks.mean(2)  # (B, blocks, 3)
    mirrored = rows[:, 0:3].clone()
    mirrored[:, 0] *= rows[:, 21]
    order_index = torch.argsort(order, stable=True)
    near = []
    for start in range(0, order_index.numel(), 256):
        some = order_index[start : start + 256]
        gap = (centres[image[some]] - mirrored[some].unsqueeze(1)).square().sum(-1)
        hits = (gap < (reach[some] + SLACK).square().unsqueeze(1)).nonzero()
        near.append(torch.stack([some[hits[:, 0]], hits[:, 1]], 1))
    which, block = torch.cat(near).unbind(1)
    even = rows.clone()
    even[:, 20] = 0  # no taper
    ratio = (rows[:, 3:6] / swollen(rows, SLACK))[which]
    own = own_coordinates(even[which], centres[image[which], block].unsqueeze(1))
    x, y, z = (t.squeeze(1) * r for t, r in zip(own, ratio.unbind(1), strict=True))
    keep = size(x, y, z, rows[which, 15]) < 1.2
    return which[keep], block[keep]
