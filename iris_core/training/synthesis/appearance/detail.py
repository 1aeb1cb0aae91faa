"""Detail: structure that no label names and both people of a pair share, such as vessels within an organ.

Real borders are often faint, while the tissue around them agrees between people. A network that never sees
such detail learns to wait for a border that is not there.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from iris_core.training.synthesis.draws import log_uniform

SPAN = 2.0  # side of the field that detail is drawn in, windows; mirrored beyond
OCTAVES = ((1.0, 0.8), (0.4, 0.6))  # scale and weight
SCALES = (4, 16)  # size of the coarser structures, voxels of anatomy
CRISP_SHARE, CRISPNESS = 1 / 3, 3.0  # anatomies whose detail has borders of its own


def detail_maps(rng: np.random.Generator, places: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The detail of B anatomies as each of their two images shows it.

    Args:
        rng: source of each anatomy's scale and crispness.
        places: (2B, D, H, W, 3) anatomy coordinates of the voxels: references, then queries.
        generator: source of the structures, on the device of `places`.

    Returns:
        (2B, D, H, W), about mean 0 and standard deviation 1; a reference and its query agree at one place.
    """
    size = torch.tensor(places.shape[1:4], device=places.device) * SPAN / 2
    maps = places.new_empty(places.shape[:4])
    batch = len(places) // 2
    for i in range(batch):
        coarse, crisp = log_uniform(rng, *SCALES), rng.random() < CRISP_SHARE
        unit = (places[[i, batch + i]] / size).flip(-1)  # grid_sample wants the last axis first
        total = torch.zeros_like(maps[:2])
        for scale, weight in OCTAVES:
            nodes = [max(3, round(float(2 * half) / (coarse * scale))) for half in size]
            field = torch.randn((1, 1, *nodes), generator=generator, device=places.device)
            both = field.expand(2, -1, -1, -1, -1)
            total += weight * F.grid_sample(both, unit, padding_mode="reflection", align_corners=True)[:, 0]
        total = total / total[:1].std().clamp_min(1e-3)
        maps[[i, batch + i]] = torch.tanh(CRISPNESS * total) if crisp else total
    return maps
