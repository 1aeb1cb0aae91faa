"""Encoding: labelled references -> a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from iris_core.errors import InputError
from iris_core.inference.stages import CloseUpSettings
from iris_core.preprocessing.grid import Spacing
from iris_core.preprocessing.prepare import (
    Prepared,
    choose_spacing,
    prepare_image,
    prepare_masks,
    prepare_unknown,
)
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.strategies import STRATEGIES, tune
from iris_core.strategies.tuning import STEPS, Example
from iris_core.task.closer_look import Views, choose_views, extent_of, place_of, reference_box
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.reference import ClassInfo, Reference, joined_classes, joined_modality
from iris_core.task.task import Look, Task
from iris_core.volume.boxes import Box


@dataclass(frozen=True, eq=False)
class _Part:
    """What one reference adds to a task."""

    reference: Reference
    example: Example
    embedding: TaskEmbedding


def encode_task(
    segmenter: Segmenter,
    references: Sequence[Reference],
    *,
    classes: Sequence[str] | None = None,
    modality: str = "auto",
    spacing: str | float | Sequence[float] | Views = "auto",
    strategy: str = "auto",
    sparse: str = "no",
    seed: int = 0,
    progress: Progress | None = None,
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
        sparse: how labels were drawn that do not show a structure throughout: "no" (where nothing is drawn is
            background), "slices" or "scribbles" (iris_core.volume.unknown).
        seed: of retrieval and tuning.
        progress: called with (steps done, steps in all); a step is a reference, or one of tuning.

    Raises:
        InputError: no reference, an empty label, a class that no reference holds, two classes with one value
            or two values of one class, a reference that would be too large at the spacing.
    """
    if not references:
        raise InputError("no reference given", expected="at least one labelled study")
    references = [reference.fitted(number) for number, reference in enumerate(references)]
    lines = [line for reference in references for line in reference.gap_lines(sparse)]
    if sparse == "slices" and not lines:
        strokes = "where only the voxels drawn on are known, use --sparse scribbles"
        lines = [f"no label was drawn in single slices: all are taken as whole; {strokes}"]
    references = [reference.completed(sparse) for reference in references]
    infos = joined_classes(references, classes)
    chosen, reason = joined_modality(references, modality)
    references = [reference.prepared_as(chosen) for reference in references if reference.held(infos)]
    strategy = _strategy(strategy, len(references))
    policy = "views" if isinstance(spacing, Views) else str(spacing)
    provenance: dict[str, object] = {"modality_reason": reason, "spacing_policy": policy}
    if lines:
        provenance["label_gaps"] = lines
    weights = segmenter.fingerprint
    empty = Task(tuple(infos), chosen, (0.0, 0.0, 0.0), (), strategy, weights, provenance, seed=seed)
    views = _views(references[0], infos, spacing, segmenter.settings.close_up)
    total = len(references) + (segmenter.passes * STEPS if strategy == "tuning" else 0)
    parts = []
    for number, reference in enumerate(references, start=1):
        parts.append(_part(segmenter, reference, infos, chosen, views.spacing))
        if progress is not None:
            progress(number, total)
    task = _joined(segmenter, replace(empty, spacing=views.spacing), parts, progress)
    looks, left_out = [], []
    for names, size in views.looks if segmenter.settings.close_up.enabled else ():
        look, reasons = _look(segmenter, replace(empty, spacing=size), references, names)
        looks += [look] if look is not None else []
        left_out += reasons
    if left_out:
        task.provenance["looks_left_out"] = left_out
    return replace(task, looks=tuple(looks))


def _views(
    reference: Reference,
    infos: Sequence[ClassInfo],
    spacing: str | float | Sequence[float] | Views,
    settings: CloseUpSettings,
) -> Views:
    if isinstance(spacing, Views):
        return spacing
    if spacing == "auto":
        return choose_views(reference, infos, settings)
    return Views(choose_spacing(reference.image, None, spacing))


def _part(
    segmenter: Segmenter,
    reference: Reference,
    infos: Sequence[ClassInfo],
    modality: str,
    size: Spacing,
    box: Box | None = None,
) -> _Part:
    """Encodes one reference, whole or cut to a box; an error says which file it was."""
    prepared = prepare_image(
        reference.image, modality=modality, spacing=size, recipe=segmenter.recipe, box=box
    )
    held = reference.held(infos)
    example = prepared_example(reference, held, prepared)
    labelled = prepare_masks(reference.labelled, [1], prepared.grid)
    try:
        embedding = segmenter.encode(example.image, example.masks, example.names, labelled, example.unknown)
        return _Part(reference, example, embedding)
    except InputError as error:
        raise InputError(
            f"{error.where}: {error.what}", where=reference.name, expected=error.expected, found=error.found,
            remedy=error.remedy,
        ) from error  # fmt: skip


def prepared_example(
    reference: Reference, held: Sequence[tuple[ClassInfo, int]], prepared: Prepared
) -> Example:
    """A reference as the network sees it.

    Args:
        reference: with its label on the image's grid.
        held: its classes with their values in its label.
        prepared: its image.
    """
    values = [value for _, value in held]
    masks = prepare_masks(reference.label, values, prepared.grid)
    unknown = prepare_unknown(reference.label, values, prepared.grid)
    return Example(prepared.image, masks, tuple(info.name for info, _ in held), unknown)


def _joined(
    segmenter: Segmenter, empty: Task, parts: Sequence[_Part], progress: Progress | None = None
) -> Task:
    """A task filled with what its references add, tuned where it shall be."""
    pool, examples = [part.embedding for part in parts], [part.example for part in parts]
    provenance = {"references": [part.reference.name for part in parts], **empty.provenance}
    tuned = None
    if empty.strategy == "tuning":
        count = len(parts)
        goes_on = progress and (lambda done, steps: progress(count + done, count + steps))
        result = tune(segmenter, pool, examples, empty.names, seed=empty.seed, progress=goes_on)
        tuned = result.embedding
        provenance["tuning"] = {"before": result.before, "after": result.after, "steps": result.steps}
    return replace(empty, pool=tuple(pool), provenance=provenance, tuned=tuned)


def _look(
    segmenter: Segmenter, empty: Task, references: Sequence[Reference], names: Sequence[str]
) -> tuple[Look | None, list[str]]:
    """A closer look at some classes by every reference whose box can be used, and why others cannot."""
    parts, reasons, settings = [], [], segmenter.settings.close_up
    for reference in references:
        shown = [info for info, _ in reference.held(empty.classes) if info.name in names]
        if not shown:
            continue
        box = reference_box(reference, names, settings)
        try:
            parts.append(_part(segmenter, reference, shown, empty.modality, empty.spacing, box))
        except InputError as error:  # a box of air, say; the whole study has what there is
            reasons.append(f"{', '.join(info.name for info in shown)}: {error}")
    used = [part.reference for part in parts]
    group = tuple(info for info in empty.classes if info.name in names and any(r.held([info]) for r in used))
    if not group:
        return None, reasons
    task = _joined(segmenter, replace(empty, classes=group), parts)
    places = tuple(place_of(used, names, info.name, settings) for info in group)
    return Look(task, extent_of(used, names, settings), places), reasons


def _strategy(wanted: str, references: int) -> str:
    if wanted == "auto":
        return "one-shot" if references == 1 else "ensemble"
    if wanted not in STRATEGIES:
        raise InputError("unknown strategy", where=wanted, expected=f"auto or one of {', '.join(STRATEGIES)}")
    return wanted
