"""Joins what single references add to a task, each a task of its own, into the task of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from iris_core.task.close_up import Views
from iris_core.task.task import CloseUp, Task
from iris_core.triple import triple


def join(empty: Task, parts: Sequence[Task]) -> Task:
    """The task of N references, without close-ups.

    Args:
        empty: classes, modality, voxel size, strategy and provenance of the result, with an empty pool.
        parts: N tasks of one reference each, of some of those classes; their provenance names the reference.

    Returns:
        A task whose pool holds N embeddings, of those classes that any part holds.
    """
    held = {name for part in parts for name in part.names}
    references = [name for part in parts for name in part.provenance["references"]]
    return replace(
        empty,
        classes=tuple(info for info in empty.classes if info.name in held),
        pool=tuple(embedding for part in parts for embedding in part.pool),
        provenance={"references": references, **empty.provenance},
    )


def join_close_up(empty: Task, parts: Sequence[CloseUp]) -> CloseUp:
    """The close-up of N references: as large as the largest, each class at its mean place.

    Args:
        empty: as in `join`; the strategy of a single reference is one-shot, unless it is tuned.
        parts: N close-ups of one reference each.
    """
    task = join(empty, [part.task for part in parts])
    if len(parts) == 1 and task.strategy != "tuning":
        task = replace(task, strategy="one-shot")
    places = []
    for name in task.names:
        shown = [part.places[part.task.names.index(name)] for part in parts if name in part.task.names]
        first, last = np.mean(shown, axis=0).tolist()
        places.append((triple(first), triple(last)))
    extent = np.max([part.extent for part in parts], axis=0)
    return CloseUp(task, triple(extent.tolist()), tuple(places))


def join_with_close_ups(empty: Task, parts: Sequence[Task], views: Views) -> Task:
    """As `join`, with the close-ups of the parts joined group by group.

    Args:
        empty: as in `join`.
        parts: as in `join`, all encoded with the same views.
        views: those of the parts.
    """
    close_ups = []
    for names, spacing in views.close_ups:
        group = [one for part in parts for one in part.close_ups if {*one.task.names} <= {*names}]
        if group:
            close_ups.append(join_close_up(replace(empty, spacing=spacing), group))
    return replace(join(empty, parts), close_ups=tuple(close_ups))
