"""Landmarks: which place of the anatomy every cell of an image shows, whoever the person is.

Two people share an anatomy, so a cell of one image and the cell of the other that shows the same place are
known without drawing a single mask. Objects that moved or grew between the people are brought back to where
the anatomy has them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from iris_core.training.synthesis.anatomy import LABELS, Anatomy
from iris_core.training.synthesis.primitive import Primitive

CELL = 2  # voxels per side


def landmarks(
    labels: torch.Tensor,
    places: torch.Tensor,
    anatomies: Sequence[Anatomy],
    objects: Sequence[Sequence[Primitive]],
) -> tuple[torch.Tensor, torch.Tensor]:
    """What each cell of 2^3 voxels shows.

    Args:
        labels: (B, D, H, W) uint8, 0 where there is nothing.
        places: (B, D, H, W, 3) anatomy coordinates, voxels.
        anatomies: B, as drawn.
        objects: the objects that each image's person has.

    Returns:
        points (B, 3, d, h, w): anatomy coordinates of the cells, voxels; kinds (B, d, h, w) uint8: the label
        of cells that lie in one label alone, else 0. Objects drawn anew for each image count as 0 too.
    """
    points = F.avg_pool3d(places.permute(0, 4, 1, 2, 3), CELL)
    values = labels[:, None].float()
    low, high = -F.max_pool3d(-values, CELL)[:, 0], F.max_pool3d(values, CELL)[:, 0]
    kinds = torch.where(low == high, high, torch.zeros_like(high)).long()
    tables = np.stack([_table(a, o) for a, o in zip(anatomies, objects, strict=True)])
    table = torch.from_numpy(tables).to(points)  # (B, LABELS, 8): home, here, growth, lasting
    rows = torch.arange(len(tables), device=kinds.device).view(-1, 1, 1, 1)
    home, here, growth, lasting = table[rows, kinds].movedim(-1, 1).split((3, 3, 1, 1), dim=1)
    return home + (points - here) / growth, (kinds * (lasting[:, 0] > 0)).to(torch.uint8)


def _table(anatomy: Anatomy, objects: Sequence[Primitive]) -> np.ndarray:
    """(LABELS, 8): mean centre in the anatomy, in the person, how much it grew, whether it lasts."""
    table = np.zeros((LABELS, 8), np.float32)
    table[:, 6:] = 1
    for label in {o.label for o in objects}:
        mine = [o for o in objects if o.label == label]
        drawn = [o for o in anatomy.objects if o.label == label]
        parts = slice(label, label + 1 + max(sum(cut < 5 for cut in o.cuts) for o in mine))
        table[parts, 0:3], table[parts, 3:6] = _centre(drawn), _centre(mine)
        table[parts, 6] = np.mean([np.prod(o.radii) for o in mine]) ** (1 / 3)
        table[parts, 6] /= np.mean([np.prod(o.radii) for o in drawn]) ** (1 / 3)
        table[parts, 7] = all(o.roam == 0 for o in mine)
    return table


def _centre(objects: Sequence[Primitive]) -> np.ndarray:
    return np.mean([np.asarray(o.centre) * np.array([o.side, 1, 1]) for o in objects], axis=0)
