"""Task: what labelled references say, ready for any number of queries.

references -> encode_task -> Task (storable as a card) -> apply_task(query) -> Prediction
A task may hold looks: tasks of their own for boxes around small structures (iris_core.closer_look).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod

import torch
from torch import Tensor

from iris_core.closer_look import (
    Extent,
    Place,
    Views,
    choose_views,
    enough_found,
    extent_of,
    moved,
    place_of,
    query_box,
    reference_box,
    shown_volumes,
)
from iris_core.embedding import TaskEmbedding
from iris_core.errors import InputError
from iris_core.grid import Box, ClassMap, Spacing, compete, make_grid
from iris_core.modality import query_modality
from iris_core.prediction import Prediction
from iris_core.preprocess import Prepared, choose_spacing, prepare_image, prepare_masks
from iris_core.progress import Progress
from iris_core.reference import ClassInfo, Reference, joined_classes, joined_modality
from iris_core.segmenter import Segmenter
from iris_core.strategies import STRATEGIES, ensemble, one_shot, retrieve_by_image, retrieve_by_object, tune
from iris_core.strategies.tuning import STEPS, Example
from iris_core.view_fusion import fused
from iris_core.volume import LabelVolume, Volume

MOST_LOOKS = 2  # at one group of classes; the second where the first shows that it was off (ours)
MOST_VOXELS = 320**3  # of a working grid; a larger one is a mistake in the spacing


@dataclass(frozen=True, eq=False)
class Task:
    """Everything that segmenting needs of the references.

    Args:
        classes: K classes, ascending by value.
        modality: "ct", "mr" or "pet", of references and queries.
        spacing: working voxel size along RAS+ axes, mm.
        pool: one embedding per reference.
        strategy: one of STRATEGIES.
        fingerprint: of the network that made the embeddings.
        provenance: references, reasons and warnings, in JSON types.
        tuned: the tuned embedding, for strategy "tuning".
        seed: of retrieval's first reference.
        looks: closer looks at some of the classes, fused with what the whole study said of them.
    """

    classes: tuple[ClassInfo, ...]
    modality: str
    spacing: tuple[float, float, float]
    pool: tuple[TaskEmbedding, ...]
    strategy: str
    fingerprint: str
    provenance: dict[str, object] = field(default_factory=dict)
    tuned: TaskEmbedding | None = None
    seed: int = 0
    looks: tuple[Look, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the classes."""
        return tuple(c.name for c in self.classes)


@dataclass(frozen=True, eq=False)
class Look:
    """A task whose references were cut to a box.

    Args:
        task: of K classes.
        extent: of the box, mm along the RAS+ axes.
        places: of the classes in the box.
    """

    task: Task
    extent: Extent
    places: tuple[Place, ...]


def encode_task(
    segmenter: Segmenter,
    references: Sequence[Reference],
    *,
    classes: Sequence[str] | None = None,
    modality: str = "auto",
    spacing: str | float | Sequence[float] | Views = "auto",
    strategy: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
    fingerprint: str = "",
) -> Task:
    """Encodes labelled references, each once.

    Args:
        segmenter: the network.
        references: at least one; classes are joined by name, numbered as where a name first occurs.
        classes: names wanted; None: all that any reference holds.
        modality: "auto" asks each reference and takes the majority.
        spacing: "auto", which takes closer looks at small structures too, "paper", millimetres, or views
            that were chosen for another reference.
        strategy: "auto": one-shot for one reference, ensemble for several.
        seed: of retrieval and tuning.
        progress: called with (steps done, steps in all); a step is a reference, or one of tuning.
        fingerprint: of the network, kept in cards.

    Raises:
        InputError: no reference, an empty label, a class that no reference holds, two classes with one value
            or two values of one class, a reference that would be too large at the spacing.
    """
    if not references:
        raise InputError("no reference given", expected="at least one labelled study")
    references = [reference.fitted(number) for number, reference in enumerate(references)]
    infos = joined_classes(references, classes)
    chosen, reason = joined_modality(references, modality)
    references = [reference for reference in references if reference.held(infos)]
    strategy = _strategy(strategy, len(references))
    policy = "views" if isinstance(spacing, Views) else str(spacing)
    provenance = {"modality_reason": reason, "spacing_policy": policy}
    empty = Task(tuple(infos), chosen, (0.0, 0.0, 0.0), (), strategy, fingerprint, provenance, seed=seed)
    views = _views(references[0], infos, spacing)
    task = _encoded(segmenter, empty, references, views.spacing, progress)
    looks, left_out = [], []
    for names, size in views.looks:
        group = tuple(c for c in infos if c.name in names and any(r.held([c]) for r in references))
        showing = [reference for reference in references if reference.held(group)]
        if showing:
            boxes = [reference_box(reference, names) for reference in showing]
            try:
                closer = _encoded(segmenter, replace(empty, classes=group), showing, size, None, boxes)
            except InputError as error:  # a box of air, say; the whole study has what there is
                left_out.append(f"{', '.join(c.name for c in group)}: {error}")
                continue
            places = tuple(place_of(showing, names, info.name) for info in group)
            looks.append(Look(closer, extent_of(showing, names), places))
    if left_out:
        task.provenance["looks_left_out"] = left_out
    return replace(task, looks=tuple(looks))


def _views(
    reference: Reference, infos: Sequence[ClassInfo], spacing: str | float | Sequence[float] | Views
) -> Views:
    if isinstance(spacing, Views):
        return spacing
    if spacing == "auto":
        return choose_views(reference, infos)
    return Views(choose_spacing(reference.image, None, spacing))


def _encoded(
    segmenter: Segmenter,
    empty: Task,
    references: Sequence[Reference],
    size: Spacing,
    progress: Progress | None,
    boxes: Sequence[Box | None] | None = None,
) -> Task:
    """A task filled with the embeddings of its references, each whole or cut to its box."""
    infos, boxes = empty.classes, boxes or [None] * len(references)
    pool, examples = [], []
    total = len(references) + (segmenter.passes * STEPS if empty.strategy == "tuning" else 0)
    for number, (reference, box) in enumerate(zip(references, boxes, strict=True), start=1):
        prepared = _prepared(segmenter, reference.image, empty.modality, size, box)
        held = reference.held(infos)
        masks = prepare_masks(reference.label, [v for _, v in held], prepared.grid)
        names = [c.name for c, _ in held]
        anything = prepare_masks(reference.labelled, [1], prepared.grid)
        pool.append(_named(segmenter, prepared, masks, names, reference, anything))
        examples.append(Example(prepared.image, masks, tuple(names)))
        if progress is not None:
            progress(number, total)
    provenance = {"references": [reference.name for reference in references], **empty.provenance}
    tuned = None
    if empty.strategy == "tuning":
        count = len(references)
        goes_on = progress and (lambda done, steps: progress(count + done, count + steps))
        result = tune(segmenter, pool, examples, empty.names, seed=empty.seed, progress=goes_on)
        tuned = result.embedding
        provenance["tuning"] = {"before": result.before, "after": result.after, "steps": result.steps}
    return replace(empty, spacing=size, pool=tuple(pool), provenance=provenance, tuned=tuned)


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
    maps, used = _looked(segmenter, task, image, modality, progress)
    for look in task.looks:
        found = {name: maps[name] for name in look.task.names}
        maps |= _closer(segmenter, look, image, modality, found, used)
    names, colors = {c.value: c.name for c in task.classes}, {c.value: c.color for c in task.classes}
    label = LabelVolume(compete(list(maps.values())), image.affine, names, colors)
    quality = {name: one.expected for name, one in maps.items()}
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
    prepared = _prepared(segmenter, image, modality, task.spacing, box)
    embedding, chosen = _embedding(segmenter, task, prepared.image)
    sources = list(task.provenance.get("references", []))
    used = {
        name: [str(sources[n]) if n < len(sources) else str(n) for n in where]
        for name, where in chosen.items()
    }
    found = segmenter.find(prepared.image, embedding, progress, whole=box is None)
    expected = found.expected([max(1, len(used.get(name, ()))) for name in task.names])
    maps = {
        info.name: ClassMap(info.value, one, prepared.grid, dice)
        for info, one, dice in zip(task.classes, found.logits, expected, strict=True)
    }
    return maps, used


def _prepared(
    segmenter: Segmenter,
    image: Volume,
    modality: str,
    spacing: tuple[float, float, float],
    box: Box | None = None,
) -> Prepared:
    """The prepared image; one that would be huge is refused before anything is resampled."""
    shape = make_grid(image, spacing, box).shape
    if prod(shape) > MOST_VOXELS:
        raise InputError(
            "is too large at the working spacing",
            where=image.source,
            expected=f"at most {MOST_VOXELS} voxels",
            found=f"{tuple(shape)} at {spacing} mm",
            remedy="use a coarser --spacing",
        )
    return prepare_image(image, modality=modality, spacing=spacing, recipe=segmenter.recipe, box=box)


def _embedding(segmenter: Segmenter, task: Task, image: Tensor) -> tuple[TaskEmbedding, dict[str, list[int]]]:
    if task.strategy == "tuning" and task.tuned is not None:
        return task.tuned, ensemble(task.pool, task.names)[1]
    if task.strategy == "retrieval":
        return retrieve_by_object(segmenter, task.pool, task.names, image, seed=task.seed)
    if task.strategy == "image-retrieval":
        return retrieve_by_image(segmenter, task.pool, task.names, image)
    return (one_shot if task.strategy == "one-shot" else ensemble)(task.pool, task.names)


def _strategy(wanted: str, references: int) -> str:
    if wanted == "auto":
        return "one-shot" if references == 1 else "ensemble"
    if wanted not in STRATEGIES:
        raise InputError("unknown strategy", where=wanted, expected=f"auto or one of {', '.join(STRATEGIES)}")
    return wanted


def _named(
    segmenter: Segmenter,
    prepared: Prepared,
    masks: Tensor,
    names: Sequence[str],
    reference: Reference,
    labelled: Tensor,
) -> TaskEmbedding:
    """Encodes one reference; an error says which file it was."""
    try:
        with torch.no_grad():
            return segmenter.encode(prepared.image, masks, names, labelled)
    except InputError as error:
        raise InputError(
            f"{error.where}: {error.what}", where=reference.name, expected=error.expected, found=error.found,
            remedy=error.remedy,
        ) from error  # fmt: skip
