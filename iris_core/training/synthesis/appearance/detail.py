"""Detail: structure that no label names and both people of a pair share, such as vessels within an organ.

Real borders are often faint while what lies around them agrees between people. Without it a network learns
to wait for a border that is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

SPAN = 2.0  # side of the field that detail is drawn in, windows; mirrored beyond
OCTAVES = ((1.0, 0.8), (0.4, 0.6))  # scale and weight
CRISPNESS = 3.0


@dataclass(frozen=True)
class Detail:
    """Fine structure of an anatomy.

    Attributes:
        scale: size of the coarser structures, voxels of anatomy.
        crisp: with borders of its own, rather than smooth.
    """

    scale: float
    crisp: bool


def draw_detail(rng: np.random.Generator) -> Detail:
    """Structures of 4 to 16 voxels, a third of them with borders."""
    return Detail(float(np.exp(rng.uniform(np.log(4), np.log(16)))), bool(rng.random() < 1 / 3))


def detail_maps(details: list[Detail], places: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """What each image shows of its anatomy's detail.

    Args:
        details: B of them, one an anatomy.
        places: (2B, D, H, W, 3) anatomy coordinates of the voxels: references, then queries.
        generator: source of the draw, on the device of `places`.

    Returns:
        (2B, D, H, W), about mean 0 and standard deviation 1; a reference and its query agree at one place.
    """
    size = torch.tensor(places.shape[1:4], device=places.device) * SPAN / 2
    maps = places.new_empty(places.shape[:4])
    for i, detail in enumerate(details):
        both = torch.stack([places[i], places[len(details) + i]])
        unit = (both / size).flip(-1)  # grid_sample wants the last axis first
        total = torch.zeros_like(maps[:2])
        for scale, weight in OCTAVES:
            nodes = [max(3, round(float(2 * half) / (detail.scale * scale))) for half in size]
            field = torch.randn((1, 1, *nodes), generator=generator, device=places.device)
            total += weight * _look(field.expand(2, -1, -1, -1, -1), unit)
        total = total / total[:1].std().clamp_min(1e-3)
        total = torch.tanh(CRISPNESS * total) if detail.crisp else total
        maps[i], maps[len(details) + i] = total
    return maps


def _look(field: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(field, unit, padding_mode="reflection", align_corners=True)[:, 0]
