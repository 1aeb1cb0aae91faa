"""Features of a whole query: what it is aligned by, and, where one window shows it, decoded from.

Stage 1. Input: the prepared image. Output: QueryFeatures. Cost: one pass of the encoder over windows side by
side; they are encoded again, overlapping, when they are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.settings import InferenceSettings
from iris_core.model.iris import ImageFeatures, Iris
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE
from iris_core.triple import triple
from iris_core.windows.windows import Padding, Shape, fitting, offset_of, pad, starts

STRIDES = (FEATURE_STRIDE, MASK_STRIDE)  # of the levels


@dataclass(frozen=True, eq=False)
class QueryFeatures:
    """A prepared query as the network sees it.

    Args:
        image: (1, D, H, W).
        padded: (1, D', H', W'), to what windows can take.
        padding: what was added.
        window: sides of a window, voxels.
        alone: features of the only window; None where there are several.
        levels: (1, F, d, h, w), matching features of the whole at stride 4 and, where rival places can be
            tried, at stride 2; empty where nothing is to be aligned.
        offset: (3,) voxels, centre of their grids minus the centre of the query's field of view.
    """

    image: Tensor
    padded: Tensor
    padding: Padding
    window: Shape
    alone: ImageFeatures | None
    levels: tuple[Tensor, ...]
    offset: Tensor

    @property
    def shown(self) -> Tensor:
        """(1, d, h, w) at stride 4: how much of each cell is image and no padding."""
        ones, _ = pad(torch.ones_like(self.image[:1]))
        return F.avg_pool3d(ones, FEATURE_STRIDE).to(self.offset.device)


def encode_query(
    model: Iris,
    encode: Callable[[Tensor], ImageFeatures],
    image: Tensor,
    most: Shape,
    settings: InferenceSettings,
    *,
    compare: bool,
) -> QueryFeatures:
    """The features of a query.

    Args:
        model: the network.
        encode: the features of a window (1, D, H, W).
        image: (1, D, H, W), prepared.
        most: voxels per side that are encoded at once.
        settings: of the stages.
        compare: references have memories to be aligned.
    """
    window = triple(min(w, fitting(n)) for w, n in zip(most, image.shape[1:], strict=True))
    padded, padding = pad(image, triple(max(w, n) for w, n in zip(window, image.shape[1:], strict=True)))
    alone = encode(padded) if tuple(padded.shape[1:]) == window else None
    whole, around = pad(image)
    shape = triple(whole.shape[1:])
    levels: tuple[Tensor, ...] = ()
    if compare and settings.alignment.enabled:
        fine = model.config.correspondence and settings.rivals.enabled
        fine = fine and prod(shape) <= settings.rivals.most_cells * FEATURE_STRIDE**3
        levels = _side_by_side(encode, whole, most, fine) if alone is None else _levels(alone, fine)
    offset = offset_of((0, 0, 0), shape, around).to(next(model.parameters()).device)
    return QueryFeatures(image, padded, padding, window, alone, levels, offset)


def _levels(features: ImageFeatures, fine: bool) -> tuple[Tensor, ...]:
    finer, coarse = features.pyramid[:2]
    return (coarse, finer) if fine else (coarse,)


def _side_by_side(
    encode: Callable[[Tensor], ImageFeatures], whole: Tensor, most: Shape, fine: bool
) -> tuple[Tensor, ...]:
    """The levels of a padded volume, from windows that do not overlap but at the end."""
    shape = triple(whole.shape[1:])
    window = triple(min(w, n) for w, n in zip(most, shape, strict=True))
    canvases: list[Tensor] = []
    for start in product(*(starts(n, w, w) for n, w in zip(shape, window, strict=True))):
        cut = (slice(None), *(slice(s, s + w) for s, w in zip(start, window, strict=True)))
        levels = _levels(encode(whole[cut]), fine)
        if not canvases:
            canvases = [
                level.new_zeros(1, level.shape[1], *(n // stride for n in shape))
                for level, stride in zip(levels, STRIDES, strict=False)
            ]
        for canvas, level, stride in zip(canvases, levels, STRIDES, strict=False):
            i, j, k = (slice(s // stride, (s + w) // stride) for s, w in zip(start, window, strict=True))
            canvas[..., i, j, k] = level
    return tuple(canvases)
