"""Windows as nnU-Net lays them, so that both give the same mask from the memory bank.

Windows have exactly the training's size and are evenly spread; a volume that is smaller than a window is
padded to it. Paper: supplement 7 (sliding window, overlap 0.5).
"""

from __future__ import annotations

from functools import cache
from itertools import product
from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from iris_core.progress import Progress
from iris_core.task.embedding import TaskEmbedding
from iris_core.triple import triple
from iris_core.windows.windows import Shape, fitting, pad

if TYPE_CHECKING:
    from iris_core.segmenter import Segmenter

SIGMA = 1 / 8  # of the weight inside a window, in sides; nnU-Net's


def blended_evenly(
    segmenter: Segmenter, image: Tensor, embedding: TaskEmbedding, progress: Progress | None = None
) -> Tensor:
    """Logits of a query (K, D, H, W) from evenly spread windows.

    Args:
        segmenter: gives the window, the overlap and the decoder.
        image: (1, D, H, W), prepared.
        embedding: tokens alone, which say nothing about what is in view.
        progress: called with (windows done, windows in all).
    """
    sides = triple(max(w, n) for w, n in zip(segmenter.window, image.shape[1:], strict=True))
    padded, padding = pad(image, sides)
    axes = [even_starts(n, w, segmenter.overlap) for n, w in zip(sides, segmenter.window, strict=True)]
    weight = gaussian(segmenter.window)
    total = torch.zeros(len(embedding.names), *sides)
    share = torch.zeros(sides)
    nowhere = torch.zeros(1, 3, device=segmenter.device)
    for done, start in enumerate(product(*axes), start=1):
        place = tuple(slice(s, s + w) for s, w in zip(start, segmenter.window, strict=True))
        part, around = pad(padded[(slice(None), *place)], triple(fitting(n) for n in segmenter.window))
        logits = segmenter.decode(segmenter.features(part), embedding, nowhere)[0].float().cpu()
        total[(slice(None), *place)] += weight * around.remove(logits)
        share[place] += weight
        if progress is not None:
            progress(done, prod(map(len, axes)))
    return padding.remove(total / share)


def even_starts(length: int, window: int, overlap: float) -> list[int]:
    """First voxels of the fewest windows that cover an axis with at least the overlap, evenly spread."""
    count = ceil((length - window) / (window * (1 - overlap))) + 1
    step = (length - window) / max(1, count - 1)
    return [int(np.round(step * number)) for number in range(count)]


@cache
def gaussian(window: Shape) -> Tensor:
    """Weight of each voxel of a window, largest in the middle, nowhere 0."""
    spike = np.zeros(window)
    spike[tuple(side // 2 for side in window)] = 1
    weight = ndimage.gaussian_filter(spike, [side * SIGMA for side in window], mode="constant")
    weight = torch.from_numpy(weight / weight.max()).half().float()  # nnU-Net weighs in half precision
    return weight.clamp_min(weight[weight > 0].min())
