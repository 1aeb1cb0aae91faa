"""Task: what labelled references say, ready for any number of queries.

references -> encode_task -> Task (storable as a card) -> apply_task(query) -> Prediction
A task may hold close-ups: tasks of their own for boxes around small structures (iris_core.task.close_up).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from iris_core.progress import Progress
from iris_core.task.embedding import TaskEmbedding
from iris_core.task.reference import ClassInfo
from iris_core.volume.volume import Volume

if TYPE_CHECKING:
    from iris_core.prediction import Prediction
    from iris_core.segmenter import Segmenter


Extent = tuple[float, float, float]
Place = tuple[Extent, Extent]  # first and last point of a class, mm from the centre of its box


class Applicable(Protocol):
    """What can be applied to a query: a task of references, or the classes of a memory bank."""

    @property
    def facts(self) -> Task:
        """Classes, modality, voxel size, strategy and provenance."""

    def apply(self, segmenter: Segmenter, image: Volume, progress: Progress | None = None) -> Prediction:
        """Segments a query."""


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
        close_ups: of some of the classes; their masks are fused with those of the whole study.
        modality_given: a person named the modality; else it was read off the references.
    """

    classes: tuple[ClassInfo, ...]
    modality: str
    spacing: tuple[float, float, float]
    pool: tuple[TaskEmbedding, ...]
    strategy: str
    fingerprint: str
    provenance: dict[str, Any] = field(default_factory=dict)
    tuned: TaskEmbedding | None = None
    seed: int = 0
    close_ups: tuple[CloseUp, ...] = ()
    modality_given: bool = False

    @property
    def facts(self) -> Task:
        """Itself (Applicable)."""
        return self

    def apply(self, segmenter: Segmenter, image: Volume, progress: Progress | None = None) -> Prediction:
        """Segments a query (iris_core.task_prediction)."""
        from iris_core.task_prediction import apply_task

        return apply_task(segmenter, self, image, progress)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the classes."""
        return tuple(c.name for c in self.classes)

    def select(self, names: Sequence[str]) -> Task:
        """The task of some of its classes; references and close-ups that hold none of them are left out."""
        pool = [(embedding, [n for n in names if n in embedding.names]) for embedding in self.pool]
        return replace(
            self,
            classes=tuple(info for info in self.classes if info.name in names),
            pool=tuple(embedding.select(held) for embedding, held in pool if held),
            tuned=None if self.tuned is None else self.tuned.select(names),
            close_ups=tuple(one.select(names) for one in self.close_ups if {*one.task.names} & {*names}),
        )

    def tokens_alone(self) -> Task:
        """The task by the paper's embedding alone: nothing in it tells of an image voxel by voxel.

        A query is then segmented by tokens alone; strategies that compare images have nothing to compare.
        """
        return replace(
            self,
            pool=tuple(embedding.tokens_alone() for embedding in self.pool),
            tuned=None if self.tuned is None else self.tuned.tokens_alone(),
            provenance={**self.provenance, "tokens_alone": True},
            close_ups=tuple(replace(one, task=one.task.tokens_alone()) for one in self.close_ups),
        )


@dataclass(frozen=True, eq=False)
class CloseUp:
    """A task whose references were cut to a box.

    Args:
        task: of K classes.
        extent: of the box, mm along the RAS+ axes.
        places: of the classes in the box.
    """

    task: Task
    extent: Extent
    places: tuple[Place, ...]

    def select(self, names: Sequence[str]) -> CloseUp:
        """The close-up with those of its classes that are named, in a box of the same size."""
        pairs = zip(self.task.names, self.places, strict=True)
        places = tuple(place for name, place in pairs if name in names)
        return replace(self, task=self.task.select([n for n in self.task.names if n in names]), places=places)
