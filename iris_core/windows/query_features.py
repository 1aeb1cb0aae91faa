"""Features of a whole query: what it is aligned by, and, where one window shows it, decoded from.

Stage 1. Input: the prepared image. Output: QueryFeatures. Cost: one pass of the encoder over windows side by
side; they are encoded again, overlapping, when they are decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.model.iris import ImageFeatures, Iris
from iris_core.model.reference_memory import FEATURE_STRIDE
from iris_core.triple import triple
from iris_core.windows.windows import Padding, Shape, fitting, offset_of, pad, starts


@dataclass(frozen=True, eq=False)
class QueryFeatures:
    """A prepared query as the network sees it.

    Args:
        image: (1, D, H, W).
        padded: (1, D', H', W'), to what windows can take.
        padding: what was added.
        window: sides of a window, voxels.
        alone: features of the only window; None where there are several.
        coarse: (F, d, h, w), matching features of the whole at stride 4; None where nothing is to be aligned.
        offset: (3,) voxels, centre of that grid minus the centre of the query's field of view.
    """

    image: Tensor
    padded: Tensor
    padding: Padding
    window: Shape
    alone: ImageFeatures | None
    coarse: Tensor | None
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
    *,
    compare: bool,
) -> QueryFeatures:
    """The features of a query.

    Args:
        model: the network.
        encode: the features of a window (1, D, H, W).
        image: (1, D, H, W), prepared.
        most: voxels per side that are encoded at once.
        compare: references have memories to be aligned with it.
    """
    window = triple(min(w, fitting(n)) for w, n in zip(most, image.shape[1:], strict=True))
    padded, padding = pad(image, triple(max(w, n) for w, n in zip(window, image.shape[1:], strict=True)))
    alone = encode(padded) if tuple(padded.shape[1:]) == window else None
    whole, around = pad(image)
    shape = triple(whole.shape[1:])
    coarse = None
    if compare:
        coarse = _side_by_side(encode, whole, most) if alone is None else alone.pyramid[1][0]
    offset = offset_of((0, 0, 0), shape, around).to(next(model.parameters()).device)
    return QueryFeatures(image, padded, padding, window, alone, coarse, offset)


def _side_by_side(encode: Callable[[Tensor], ImageFeatures], whole: Tensor, most: Shape) -> Tensor:
    """Matching features at stride 4 of a padded volume, from windows that do not overlap but at the end."""
    shape = triple(whole.shape[1:])
    window = triple(min(w, n) for w, n in zip(most, shape, strict=True))
    canvas: Tensor | None = None
    for start in product(*(starts(n, w, w) for n, w in zip(shape, window, strict=True))):
        sides = list(zip(start, window, strict=True))
        coarse = encode(whole[(slice(None), *(slice(s, s + w) for s, w in sides))]).pyramid[1][0]
        if canvas is None:
            canvas = coarse.new_zeros(len(coarse), *(n // FEATURE_STRIDE for n in shape))
        cut = (slice(s // FEATURE_STRIDE, (s + w) // FEATURE_STRIDE) for s, w in sides)
        canvas[(slice(None), *cut)] = coarse
    assert canvas is not None  # a volume has at least one window
    return canvas
