"""The pipeline in one function: from a prepared query and a task to a map of every class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from iris_core.inference.field_of_view import empty_the_unseen, visible_shares
from iris_core.inference.fusion import fused
from iris_core.inference.passes import PassResult, averaged, both_views
from iris_core.inference.place.align import Shift, align, placed
from iris_core.inference.place.settle import settle_places
from iris_core.preprocessing.grid import ClassMap, Grid, Spacing
from iris_core.preprocessing.intensity import PAPER, IntensityRecipe
from iris_core.preprocessing.prepare import prepare_image
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.task.embedding import TaskEmbedding
from iris_core.triple import triple
from iris_core.volume.boxes import Box
from iris_core.volume.volume import Volume


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of a query.

    Args:
        embedding: of K classes.
        values: of the K classes in label maps.
        sources: of each class the names of the references that take part.
    """

    embedding: TaskEmbedding
    values: tuple[int, ...]
    sources: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, embedding: TaskEmbedding) -> Asked:
        """An embedding as of one reference without a name, its classes numbered from 1."""
        count = len(embedding.names)
        return cls(embedding, tuple(range(1, count + 1)), (("",),) * count)


@dataclass(frozen=True, eq=False)
class PreparedQuery:
    """A query, or a box of one, as the network sees it.

    Args:
        image: (1, D, H, W).
        grid: where it lies in its file.
        whole: it is all that there is, so classes outside its field of view are left empty.
    """

    image: Tensor
    grid: Grid
    whole: bool = True

    @classmethod
    def of(
        cls,
        volume: Volume,
        modality: str,
        spacing: Spacing,
        recipe: IntensityRecipe = PAPER,
        box: Box | None = None,
    ) -> PreparedQuery:
        """A volume as images of a modality are prepared, or a box of it.

        Raises:
            InputError: it cannot be prepared, or would be too large.
        """
        found = prepare_image(volume, modality=modality, spacing=spacing, recipe=recipe, box=box)
        return cls(found.image, found.grid, whole=box is None)

    @classmethod
    def bare(cls, image: Tensor, whole: bool = True) -> PreparedQuery:
        """An image (1, D, H, W) that was prepared before, as a file of its own."""
        shape = triple(image.shape[1:])
        grid = Grid(shape, np.eye(4), triple((0, n) for n in shape), shape, (1.0, 1.0, 1.0))
        return cls(image, grid, whole)


Maps = dict[str, ClassMap]  # by the name of the class
CloseUpStage = Callable[[Maps], Maps]  # maps of the whole query -> maps of some classes in a box of it


@torch.no_grad()
def segment_query(
    segmenter: Segmenter,
    query: PreparedQuery,
    asked: Asked,
    close_ups: Sequence[CloseUpStage] = (),
    progress: Progress | None = None,
) -> Maps:
    """All classes of a task in a query. The numbers are those of the stages in iris_core.inference."""
    stages = segmenter.settings
    passes: list[PassResult] = []
    shifts: tuple[Shift, ...] = ()
    for view in both_views(query.image, asked.embedding, stages, progress):
        embedding = view.embedding.to(segmenter.device)
        features = segmenter.encode_query(view.image, embedding)  # 1
        guesses = align(features, embedding, stages)  # 2
        shifts = settle_places(view.image, embedding.memories, guesses, stages.place_search, shifts)  # 3
        there = placed(embedding, shifts)
        logits = segmenter.decode_query(features, there, view.progress)  # 4, 5, 6
        passes.append(PassResult(logits, visible_shares(there, view.image.shape[1:], shifts)))
    found = averaged(passes, stages.fusion)  # 7
    if query.whole:
        empty_the_unseen(found, asked.embedding.volumes, stages.field_of_view)  # 8
    maps = _maps(found, query.grid, asked)
    for close_up in close_ups:
        near = close_up(maps)  # 9
        maps |= {name: fused(maps[name], one, stages.fusion) for name, one in near.items()}  # 10
    return maps


def _maps(found: PassResult, grid: Grid, asked: Asked) -> Maps:
    """Of each class the map with the Dice to expect of it."""
    expected = found.expected([len(names) for names in asked.sources])
    alike = found.pass_dice or [None] * len(expected)
    told = zip(asked.embedding.names, asked.values, found.logits, expected, asked.sources, alike, strict=True)
    return {
        name: ClassMap(value, logits, grid, dice, sources, one)
        for name, value, logits, dice, sources, one in told
    }
