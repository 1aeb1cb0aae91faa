"""Encoding: labelled references -> a task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iris_core.errors import InputError
from iris_core.inference.stages import CloseUpSettings
from iris_core.preprocessing.grid import Grid
from iris_core.preprocessing.intensity import IntensityRecipe
from iris_core.preprocessing.prepare import prepare_image, prepare_masks, prepare_unknown
from iris_core.preprocessing.spacing import choose_spacing
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.strategies import STRATEGIES, tune
from iris_core.strategies.tuning import STEPS, Example
from iris_core.task.close_up import Views, choose_views, close_up_of, reference_box
from iris_core.task.join import join, join_close_up
from iris_core.task.reference import ClassInfo, Reference, joined_classes, joined_modality
from iris_core.task.task import CloseUp, Task
from iris_core.volume.boxes import Box


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
        classes: names of the classes; None: all that any reference holds.
        modality: "auto" asks each reference and takes the majority.
        spacing: "auto", which makes close-ups of small structures too, "paper", millimetres, or views that
            were chosen for another reference.
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
    views = _views(references[0], infos, spacing, segmenter.settings.close_up)
    weights = segmenter.fingerprint
    empty = Task(
        tuple(infos), chosen, views.spacing, (), strategy, weights, provenance, seed=seed,
        modality_given=modality != "auto",
    )  # fmt: skip
    total = len(references) + (segmenter.passes * STEPS if strategy == "tuning" else 0)
    parts, examples = [], []
    for number, reference in enumerate(references, start=1):
        part, example = _encoded(segmenter, reference, empty)
        parts.append(part)
        examples.append(example)
        if progress is not None:
            progress(number, total)
    task = _tuned(segmenter, join(empty, parts), examples, progress)
    close_ups, left_out = [], []
    for names, size in views.close_ups if segmenter.settings.close_up.enabled else ():
        close_up, reasons = _close_up(segmenter, replace(empty, spacing=size), references, names)
        close_ups += [close_up] if close_up is not None else []
        left_out += reasons
    if left_out:
        task.provenance["close_ups_left_out"] = left_out
    return replace(task, close_ups=tuple(close_ups))


def prepared_example(
    reference: Reference, task: Task, recipe: IntensityRecipe, box: Box | None = None
) -> tuple[Example, Grid]:
    """A reference as the network sees it, whole or cut to a box, and its working grid.

    It has those classes of the task that it shows, and the task's modality and voxel size.
    """
    image = prepare_image(
        reference.image, modality=task.modality, spacing=task.spacing, recipe=recipe, box=box
    )
    held = reference.held(task.classes)
    values = [value for _, value in held]
    masks = prepare_masks(reference.label, values, image.grid)
    unknown = prepare_unknown(reference.label, values, image.grid)
    return Example(image.image, masks, tuple(info.name for info, _ in held), unknown), image.grid


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


def _encoded(
    segmenter: Segmenter, reference: Reference, empty: Task, box: Box | None = None
) -> tuple[Task, Example]:
    """The task of one reference, whole or cut to a box, and its images; an error names the reference."""
    example, grid = prepared_example(reference, empty, segmenter.recipe, box)
    labelled = prepare_masks(reference.labelled, [1], grid)
    try:
        embedding = segmenter.encode(
            example.image, example.masks, example.names, labelled, example.unknown, empty.spacing
        )
    except InputError as error:
        raise InputError(
            f"{error.where}: {error.what}", where=reference.name, expected=error.expected, found=error.found,
            remedy=error.remedy,
        ) from error  # fmt: skip
    held = tuple(info for info, _ in reference.held(empty.classes))
    return replace(
        empty, classes=held, pool=(embedding,), provenance={"references": [reference.name]}
    ), example


def _tuned(
    segmenter: Segmenter, task: Task, examples: Sequence[Example], progress: Progress | None = None
) -> Task:
    """The task, tuned on its references if its strategy is tuning."""
    if task.strategy != "tuning":
        return task
    count = len(examples)
    goes_on = progress and (lambda done, steps: progress(count + done, count + steps))
    result = tune(segmenter, task.pool, examples, task.names, seed=task.seed, progress=goes_on)
    figures = {"before": result.before, "after": result.after, "steps": result.steps}
    return replace(task, provenance={**task.provenance, "tuning": figures}, tuned=result.embedding)


def _close_up(
    segmenter: Segmenter, empty: Task, references: Sequence[Reference], names: Sequence[str]
) -> tuple[CloseUp | None, list[str]]:
    """A close-up of some classes by every reference whose box can be used, and why others cannot be used."""
    parts, examples, reasons = [], [], []
    for reference in references:
        shown = tuple(info for info, _ in reference.held(empty.classes) if info.name in names)
        if not shown:
            continue
        box = reference_box(reference, names, segmenter.settings.close_up)
        try:
            part, example = _encoded(segmenter, reference, replace(empty, classes=shown), box)
        except InputError as error:  # a box of air, say; the whole study has what there is
            reasons.append(f"{', '.join(info.name for info in shown)}: {error}")
            continue
        parts.append(close_up_of(reference, box, part))
        examples.append(example)
    if not parts:
        return None, reasons
    close_up = join_close_up(empty, parts)
    return replace(close_up, task=_tuned(segmenter, close_up.task, examples)), reasons


def _strategy(wanted: str, references: int) -> str:
    if wanted == "auto":
        return "one-shot" if references == 1 else "ensemble"
    if wanted not in STRATEGIES:
        raise InputError("unknown strategy", where=wanted, expected=f"auto or one of {', '.join(STRATEGIES)}")
    return wanted
