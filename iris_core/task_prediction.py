"""Prediction by a task: a query -> its label map in its own grid, and each class on a working grid."""

from __future__ import annotations

import time
from functools import partial

from torch import Tensor

from iris_core.inference.close_up import close_up_maps
from iris_core.inference.fusion import expected_of
from iris_core.inference.pipeline import Asked, PreparedQuery, segment_query
from iris_core.prediction import Prediction
from iris_core.preprocessing.grid import ClassMap, compete
from iris_core.preprocessing.modality import in_hounsfield, query_modality
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.strategies import ensemble, one_shot, retrieve_by_image, retrieve_by_object
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.task import CloseUp, Task
from iris_core.volume.boxes import Box
from iris_core.volume.volume import LabelVolume, Volume


def apply_task(
    segmenter: Segmenter, task: Task, image: Volume, progress: Progress | None = None
) -> Prediction:
    """Segments a query.

    Args:
        segmenter: the network that made the task.
        task: of K classes.
        image: the query, in its own order.
        progress: called with (windows done, windows in all).

    Raises:
        InputError: the query would be too large at the task's spacing.
    """
    started = time.perf_counter()
    modality, warnings = query_modality(image, task.modality, given=task.modality_given)
    image = in_hounsfield(image, modality)
    maps = _segment(segmenter, task, image, modality, progress, None)
    names, colors = {c.value: c.name for c in task.classes}, {c.value: c.color for c in task.classes}
    label = LabelVolume(compete(list(maps.values())), image.affine, names, colors, placement=image.placement)
    quality = {name: expected_of(one) for name, one in maps.items()}
    warnings += [f"{info.name}: nothing found" for info in task.classes if info.value not in label.values]
    used = {name: list(one.sources) for name, one in maps.items()}
    seconds = time.perf_counter() - started
    return Prediction(label, tuple(maps.values()), quality, used, seconds, warnings)


def _segment(
    segmenter: Segmenter, task: Task, image: Volume, modality: str, progress: Progress | None, box: Box | None
) -> dict[str, ClassMap]:
    """A map of each class in a query, or in a box of it."""
    query = PreparedQuery.of(image, modality, task.spacing, segmenter.recipe, box)
    embedding, chosen = _embedding(segmenter, task, query.image)
    references = list(task.provenance.get("references", []))
    sources = tuple(
        tuple(str(references[n]) if n < len(references) else str(n) for n in chosen[name])
        for name in task.names
    )
    stage, close_ups = segmenter.settings.close_up, []
    for close_up in task.close_ups if stage.enabled else ():

        def again(box: Box, close_up: CloseUp = close_up) -> dict[str, ClassMap]:
            return _segment(segmenter, close_up.task, image, modality, None, box)

        close_ups.append(partial(close_up_maps, close_up, segment=again, settings=stage))
    asked = Asked(embedding, tuple(info.value for info in task.classes), sources)
    return segment_query(segmenter, query, asked, close_ups, progress)


def _embedding(segmenter: Segmenter, task: Task, image: Tensor) -> tuple[TaskEmbedding, dict[str, list[int]]]:
    if task.strategy == "tuning" and task.tuned is not None:
        return task.tuned, ensemble(task.pool, task.names)[1]
    if task.strategy == "retrieval":
        return retrieve_by_object(segmenter, task.pool, task.names, image, seed=task.seed)
    if task.strategy == "image-retrieval":
        return retrieve_by_image(segmenter, task.pool, task.names, image)
    return (one_shot if task.strategy == "one-shot" else ensemble)(task.pool, task.names)
