"""Survey: the matching features of a whole query, by which it is aligned with its references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.agreement import judged
from iris_core.model.iris import ImageFeatures
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE
from iris_core.triple import triple
from iris_core.windows import Shape, offset_of, pad, starts

STRIDES = (FEATURE_STRIDE, MASK_STRIDE)  # of the levels


def levels_of(features: ImageFeatures, shape: Sequence[int], *, fine: bool) -> tuple[Tensor, ...]:
    """Matching features at stride 4 and, of a query where rival places are judged, at stride 2.

    Args:
        features: of a window.
        shape: of the whole query, voxels.
        fine: the network can judge places.
    """
    finer, coarse = features.pyramid[:2]
    return (coarse, finer) if fine and judged(shape) else (coarse,)


def survey(
    encode: Callable[[Tensor], ImageFeatures], image: Tensor, window: Shape, *, fine: bool
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The levels of a whole volume, from windows side by side, and the offset of their grids.

    Args:
        encode: the features of a window (1, D, H, W).
        image: (1, D, H, W), prepared.
        window: most voxels per side that are encoded at once.
        fine: as in `levels_of`.

    Returns:
        (1, F, d, h, w) of each level, and (3,) voxels.
    """
    whole, padding = pad(image)
    shape = triple(whole.shape[1:])
    window = triple(min(w, n) for w, n in zip(window, shape, strict=True))
    canvases: list[Tensor] = []
    for start in product(*(starts(n, w, w) for n, w in zip(shape, window, strict=True))):
        cut = (slice(None), *(slice(s, s + w) for s, w in zip(start, window, strict=True)))
        levels = levels_of(encode(whole[cut]), shape, fine=fine)
        if not canvases:
            canvases = [
                level.new_zeros(1, level.shape[1], *(n // stride for n in shape))
                for level, stride in zip(levels, STRIDES, strict=False)
            ]
        for canvas, level, stride in zip(canvases, levels, STRIDES, strict=False):
            i, j, k = (slice(s // stride, (s + w) // stride) for s, w in zip(start, window, strict=True))
            canvas[..., i, j, k] = level
    return tuple(canvases), offset_of((0, 0, 0), shape, padding)


def shown_cells(image: Tensor, padded: Tensor) -> Tensor:
    """(1, d, h, w) at stride 4: how much of each cell of the padded image is image."""
    ones, _ = pad(torch.ones_like(image[:1]), triple(padded.shape[1:]))
    return F.avg_pool3d(ones, FEATURE_STRIDE)
