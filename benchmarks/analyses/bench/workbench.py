"""The network on a workbench: references encoded once and kept on disk, queries segmented and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.analyses.bench.studies import Study
from iris_core.checkpoint import load_model
from iris_core.errors import CardError
from iris_core.metrics import dice
from iris_core.segmenter import Segmenter
from iris_core.task.card import load_card, save_card
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task


class Workbench:
    """Weights, and a folder of task cards.

    Args:
        checkpoint: weights; None: the shipped ones.
        cache: folder that keeps the embedding of every reference; None: nothing is kept.
    """

    def __init__(self, checkpoint: Path | None = None, cache: Path | None = None) -> None:
        self.loaded = load_model(checkpoint)
        self.segmenter = Segmenter(self.loaded.model, **self.loaded.settings)
        self.cache = cache

    def task(self, reference: Study, *, spacing: str | Sequence[float] = "auto") -> Task:
        """The one-shot task of a whole study, from the cache where it is there.

        Args:
            reference: as it was opened, not a part of it.
            spacing: working voxel size, mm, or a policy.
        """
        if self.cache is None:
            return self.fresh_task(reference, spacing=spacing)
        size = spacing if isinstance(spacing, str) else "x".join(f"{s:g}" for s in spacing)
        path = self.cache / self.loaded.fingerprint / f"{reference.group}_{reference.name}_{size}.safetensors"
        if path.is_file():
            try:
                return load_card(path, self.loaded.fingerprint)
            except CardError:
                path.unlink()
        task = self.fresh_task(reference, spacing=spacing)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_card(task, path)
        return task

    def fresh_task(self, reference: Study, *, spacing: str | Sequence[float] = "auto") -> Task:
        """The one-shot task of a study, computed."""
        return encode_task(self.segmenter, [reference.reference], spacing=spacing)

    def label(self, task: Task, query: Study) -> np.ndarray:
        """The label map of a query, in the values of the task."""
        return apply_task(self.segmenter, task, query.image).label.array


def pool_of(tasks: Sequence[Task], strategy: str) -> Task:
    """One task of several one-shot tasks of the same classes, spacing and modality."""
    pool = tuple(embedding for task in tasks for embedding in task.pool)
    names = [name for task in tasks for name in task.provenance["references"]]
    return replace(tasks[0], pool=pool, strategy=strategy, provenance={"references": names})


def class_dice(task: Task, found: np.ndarray, query: Study) -> dict[str, float]:
    """Dice of the task's classes that the query holds.

    Args:
        task: gives names and values of `found`.
        found: (I, J, K) label map.
        query: with its truth, whose values may be others.
    """
    own = {query.label.name_of(value): value for value in query.label.values}
    return {
        c.name: dice(query.label.array == own[c.name], found == c.value)
        for c in task.classes
        if c.name in own
    }
