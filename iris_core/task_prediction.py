"""Prediction by a task: a query -> what is found of its classes, in the query's own grid."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from iris_core.closer_look import enough_found, moved, query_box, shown_volumes
from iris_core.embedding import TaskEmbedding
from iris_core.errors import InputError
from iris_core.grid import Box, ClassMap, compete
from iris_core.modality import in_hounsfield, query_modality
from iris_core.prediction import Prediction
from iris_core.preprocess import prepare_image
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.strategies import ensemble, one_shot, retrieve_by_image, retrieve_by_object
from iris_core.task import Look, Task
from iris_core.view_fusion import expected_of, fused
from iris_core.volume import LabelVolume, Volume

MOST_LOOKS = 2  # at one group of classes; the second where the first shows that it was off (ours)


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
    given = task.provenance.get("modality_reason") == "given"
    modality, warnings = query_modality(image, task.modality, given=given)
    image = in_hounsfield(image, modality)
    maps, used = _looked(segmenter, task, image, modality, progress)
    for look in task.looks:
        found = {name: maps[name] for name in look.task.names}
        maps |= _closer(segmenter, look, image, modality, found, used)
    names, colors = {c.value: c.name for c in task.classes}, {c.value: c.color for c in task.classes}
    label = LabelVolume(compete(list(maps.values())), image.affine, names, colors, placement=image.placement)
    quality = {name: expected_of(one) for name, one in maps.items()}
    warnings += [f"{info.name}: nothing found" for info in task.classes if info.value not in label.values]
    seconds = time.perf_counter() - started
    return Prediction(label, tuple(maps.values()), quality, used, seconds, warnings)


def _closer(
    segmenter: Segmenter,
    look: Look,
    image: Volume,
    modality: str,
    found: dict[str, ClassMap],
    used: dict[str, list[str]],
) -> dict[str, ClassMap]:
    """Its classes with what a look shows; as they were found before where there is nothing to look at.

    Args:
        segmenter: of the task.
        look: what is looked at.
        image: the whole query.
        modality: of the query.
        found: by name, from the whole query.
        used: by name the references of a class; those of the look go in.
    """
    whole, limits, box = found, next(iter(found.values())).grid.crop, None
    volumes = shown_volumes(look.task.pool, look.task.names, look.task.spacing)
    first = torch.stack([one.logits for one in found.values()])
    if not enough_found(first, next(iter(found.values())).grid, volumes):
        return found
    for _ in range(MOST_LOOKS):
        grid = next(iter(found.values())).grid
        logits = torch.stack([one.logits for one in found.values()])
        new = query_box(logits, grid, look.extent, look.places, limits)
        if new is None or (box is not None and not moved(box, new)):
            break
        box = new
        try:
            found, sources = _looked(segmenter, look.task, image, modality, None, box)
        except InputError:  # the box shows nothing but one value, so it cannot be prepared
            break
        used |= sources
    return found if found is whole else {name: fused(whole[name], one) for name, one in found.items()}


def _looked(
    segmenter: Segmenter,
    task: Task,
    image: Volume,
    modality: str,
    progress: Progress | None,
    box: Box | None = None,
) -> tuple[dict[str, ClassMap], dict[str, list[str]]]:
    """The classes found in a query, or in a box of it, and the names of each one's references; by name."""
    prepared = prepare_image(image, modality=modality, spacing=task.spacing, recipe=segmenter.recipe, box=box)
    embedding, chosen = _embedding(segmenter, task, prepared.image)
    sources = list(task.provenance.get("references", []))
    used = {
        name: [str(sources[n]) if n < len(sources) else str(n) for n in where]
        for name, where in chosen.items()
    }
    found = segmenter.find(prepared.image, embedding, progress, whole=box is None)
    expected = found.expected([len(used[name]) for name in task.names])
    maps = {
        info.name: ClassMap(info.value, one, prepared.grid, dice)
        for info, one, dice in zip(task.classes, found.logits, expected, strict=True)
    }
    return maps, used


def _embedding(segmenter: Segmenter, task: Task, image: Tensor) -> tuple[TaskEmbedding, dict[str, list[int]]]:
    if task.strategy == "tuning" and task.tuned is not None:
        return task.tuned, ensemble(task.pool, task.names)[1]
    if task.strategy == "retrieval":
        return retrieve_by_object(segmenter, task.pool, task.names, image, seed=task.seed)
    if task.strategy == "image-retrieval":
        return retrieve_by_image(segmenter, task.pool, task.names, image)
    return (one_shot if task.strategy == "one-shot" else ensemble)(task.pool, task.names)
