"""BankSegmenter: windows as nnU-Net lays them, so that both give the same mask from the memory bank."""

from __future__ import annotations

from functools import cache
from itertools import product
from math import ceil, prod

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from iris_core.embedding import TaskEmbedding
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.triple import triple
from iris_core.windows import Shape, fitting, pad

SIGMA = 1 / 8  # of the weight inside a window, in sides; nnU-Net's


class BankSegmenter(Segmenter):
    """Segments without references, in windows of exactly the training's size, evenly spread.

    A volume that is smaller than a window is padded to it. Paper: supplement 7 (sliding window, overlap 0.5).
    """

    def _pass(
        self, image: Tensor, embedding: TaskEmbedding, progress: Progress | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `Segmenter._pass`, with an embedding of tokens alone, which do not say what is in view."""
        embedding = embedding.to(self.device)
        sides = triple(max(w, n) for w, n in zip(self.window, image.shape[1:], strict=True))
        padded, padding = pad(image, sides)
        axes = [even_starts(n, w, self.overlap) for n, w in zip(sides, self.window, strict=True)]
        weight = gaussian(self.window)
        total = torch.zeros(len(embedding.names), *sides)
        share = torch.zeros(sides)
        for done, start in enumerate(product(*axes), start=1):
            place = tuple(slice(s, s + w) for s, w in zip(start, self.window, strict=True))
            total[(slice(None), *place)] += weight * self._logits(padded[(slice(None), *place)], embedding)
            share[place] += weight
            if progress is not None:
                progress(done, prod(map(len, axes)))
        return padding.remove(total / share), torch.ones(len(embedding.names))

    def _logits(self, part: Tensor, embedding: TaskEmbedding) -> Tensor:
        padded, padding = pad(part, triple(fitting(n) for n in part.shape[1:]))
        offset = torch.zeros(1, 3, device=self.device)
        return padding.remove(self.decode(self._features(padded), embedding, offset).logits[0].float().cpu())


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
