"""Retrieval: the references that look most like this query, per class or per image. Paper: 3.3, 4.3.

The paper leaves open how tokens become one vector and what happens to an empty first mask; here tokens are
mean-pooled and normalised, and a class with an empty first mask falls back to all its references
(docs/decisions/0009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.segmenter import Segmenter
from iris_core.strategies.pool import holders, mixture
from iris_core.task.embedding import TaskEmbedding

TOP_SHARE = 0.2  # of the pool; the paper's best range is 10-20 %
LEAST_VOXELS = 8  # of a first mask that is worth encoding

Chosen = dict[str, list[int]]


def _count(pool_size: int, share: float) -> int:
    return max(1, math.ceil(share * pool_size))


def retrieve_by_object(
    segmenter: Segmenter,
    pool: Sequence[TaskEmbedding],
    names: Sequence[str],
    image: Tensor,
    *,
    seed: int = 0,
    share: float = TOP_SHARE,
) -> tuple[TaskEmbedding, Chosen]:
    """Each class from the references whose embedding of it is nearest to the query's own.

    Args:
        segmenter: runs the first pass and encodes its masks.
        pool: N embeddings, one per reference.
        names: K classes.
        image: (1, D, H, W), the prepared query.
        seed: of the random first reference.
        share: of the pool that each class takes, at least one reference.

    Returns:
        The embedding, and per class the positions of its references.
    """
    generator = torch.Generator().manual_seed(seed)
    first = {}
    for name in names:
        own = holders(pool, name)
        first[name] = [own[int(torch.randint(len(own), (), generator=generator))]]
    masks = segmenter.segment(image, mixture(pool, first)) > 0
    found = [k for k in range(len(names)) if int(masks[k].sum()) >= LEAST_VOXELS]
    chosen: Chosen = {name: holders(pool, name) for name in names}
    if found:
        wanted = [names[k] for k in found]
        own_task = segmenter.tokens_of(image, masks[found].float(), wanted)
        for name in own_task.names:
            near = {n: pool[n].cosine(own_task)[name] for n in chosen[name]}
            best = sorted(near, key=lambda n: -near[n])
            chosen[name] = best[: _count(len(best), share)]
    return mixture(pool, chosen), chosen


def retrieve_by_image(
    segmenter: Segmenter,
    pool: Sequence[TaskEmbedding],
    names: Sequence[str],
    image: Tensor,
    *,
    share: float = TOP_SHARE,
) -> tuple[TaskEmbedding, Chosen]:
    """Every class from the references whose images are nearest; for comparison with objects.

    Args and returns: as :func:`retrieve_by_object`.
    """
    query = F.normalize(segmenter.image_vector(image), dim=0)
    near = [float(F.normalize(e.image, dim=0) @ query) if e.image is not None else -1.0 for e in pool]
    chosen: Chosen = {}
    for name in names:
        best = sorted(holders(pool, name), key=lambda n: -near[n])
        chosen[name] = best[: _count(len(best), share)]
    return mixture(pool, chosen), chosen
