"""TunedStore: embeddings tuned on a set of references, used for as long as that set stays the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from apps.iris_app.catalogue.catalogue import Catalogue, ReferenceEntry
from apps.iris_app.computing.embedding_store import read_reference
from apps.iris_app.lib.state import State, digest, read_json, write_json
from iris_core.errors import CardError
from iris_core.preprocessing.intensity import IntensityRecipe
from iris_core.progress import Progress
from iris_core.segmenter import Segmenter
from iris_core.strategies.tuning import Example, tune
from iris_core.task.card import load_card, save_card
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.task import Task
from iris_core.task_encoding import prepared_example

KEPT = 8  # embeddings tuned for single requests, the newest


class TunedStore:
    """Keeps one tuned embedding for each modality, and beside them a few that single requests asked for.

    Args:
        state: where.
    """

    def __init__(self, state: State) -> None:
        self.folder = state.root / "tuned"
        self.once = self.folder / "once"

    @property
    def word(self) -> str:
        """Changes whenever a tuned embedding for everybody comes or goes; "" where there is none."""
        names = sorted(path.name for path in self.folder.glob("[!.]*.safetensors"))
        return digest(names) if names else ""

    def get(
        self,
        task: Task,
        entries: Sequence[ReferenceEntry],
        method: str,
        *,
        once: bool = False,
        sparse: str = "no",
    ) -> TaskEmbedding | None:
        """The tuned embedding of a task's classes; None where it was not tuned on just these references.

        Args:
            task: what it is for.
            entries: the references of the task.
            method: word for the weights and the settings.
            once: one that was made for a single request will do.
            sparse: how the references are labelled.
        """
        name = f"{_key(task, entries, method, sparse)}.safetensors"
        path = self.folder / name
        if once and not path.is_file():
            path = self.once / name
        if not path.is_file():
            return None
        try:
            tuned = load_card(path, task.fingerprint).tuned
        except CardError:
            return None
        return tuned.select(task.names) if tuned and {*task.names} <= {*tuned.names} else None

    def make(
        self,
        task: Task,
        entries: Sequence[ReferenceEntry],
        catalogue: Catalogue,
        segmenter: Segmenter,
        progress: Progress | None = None,
        *,
        shared: bool,
        sparse: str = "no",
    ) -> dict:
        """Tunes a task on its references and keeps the result, which is never worse on the held-back one.

        Args:
            task: its pool holds one embedding for each entry.
            entries: the references.
            catalogue: where image and label of a reference are found.
            segmenter: the network, which stays as it is.
            progress: called with (steps done, steps in all).
            shared: for everybody, in place of the one before; else for the request that asks, beside it.
            sparse: how the references are labelled.

        Returns:
            Dice of the held-back reference before and after, steps, classes, references.
        """
        examples = [
            _example(catalogue, entry, embedding.names, task, segmenter.recipe, sparse)
            for entry, embedding in zip(entries, task.pool, strict=True)
        ]
        tuned = tune(segmenter, task.pool, examples, task.names, seed=task.seed, progress=progress)
        stats = {
            "before": round(tuned.before, 4),
            "after": round(tuned.after, 4),
            "steps": tuned.steps,
            "classes": list(task.names),
            "references": [entry.study for entry in entries],
            "modality": task.modality,
        }
        name = _key(task, entries, segmenter.settings.method(task.fingerprint), sparse)
        kept = replace(task, strategy="tuning", provenance=stats, tuned=tuned.embedding, close_ups=())
        save_card(kept, (self.folder if shared else self.once) / f"{name}.safetensors")
        if not shared:
            cards = sorted(self.once.glob("[!.]*.safetensors"), key=lambda path: path.stat().st_mtime)
            for path in cards[:-KEPT]:
                path.unlink(missing_ok=True)
            return stats
        for path in self.folder.glob(f"{task.modality}-*.safetensors"):
            if path.stem != name:
                path.unlink(missing_ok=True)
        write_json({**self.stats, task.modality: stats}, self.folder / "stats.json")
        return stats

    @property
    def stats(self) -> dict:
        """What the last tuning of each modality gave."""
        return read_json(self.folder / "stats.json", {})


def _key(task: Task, entries: Sequence[ReferenceEntry], method: str, sparse: str) -> str:
    used = [(entry.study, entry.checksum) for entry in entries]
    how = () if sparse == "no" else (sparse,)
    return f"{task.modality}-{digest(method, used, task.spacing, *how)}"


def _example(
    catalogue: Catalogue,
    entry: ReferenceEntry,
    names: Sequence[str],
    task: Task,
    recipe: IntensityRecipe,
    sparse: str,
) -> Example:
    reference = read_reference(catalogue, entry).completed(sparse).prepared_as(task.modality)
    task = replace(task, classes=tuple(info for info in task.classes if info.name in names))
    return prepared_example(reference, task, recipe)[0]
