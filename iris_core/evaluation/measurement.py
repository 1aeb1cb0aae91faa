"""Runs reference sets over their queries and compares each result with the truth in the query's own grid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import IrisError, sentence_of
from iris_core.evaluation.cost import Cost, measured
from iris_core.evaluation.pairs import ReferenceSet, group_of
from iris_core.evaluation.peers.copy_prompt import copy_prompt
from iris_core.metrics import ClassScore, dice_per_class, mean_dice
from iris_core.volume.label_grid import fit_label
from iris_core.volume.label_names import IGNORED
from iris_core.volume.unknown import without_gaps
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label
from iris_core.volume_io.folder.raw_dataset import LabelledCase

if TYPE_CHECKING:
    from iris_core.prediction import Prediction
    from iris_core.task.task import Task

LOG = logging.getLogger(__name__)

Encode = Callable[[Sequence[tuple[Volume, LabelVolume]], Sequence[str]], "Task"]
Apply = Callable[["Task", Volume], "Prediction"]
MODEL, COPY = "iris", "copy-prompt"  # their names among the methods


@dataclass(frozen=True)
class Question:
    """One query and all that the model has for it; every method receives the same.

    Attributes:
        set_index: number of the reference set, from 0.
        query: case name of the query.
        references: images with label maps in their grids.
        image: the query.
        values: label values wanted.
        task: the model's task of these references; None when encoding failed.
    """

    set_index: int
    query: str
    references: Sequence[tuple[Volume, LabelVolume]]
    image: Volume
    values: Sequence[int]
    task: Task | None


@dataclass(frozen=True)
class Answer:
    """A method's result for one query.

    Attributes:
        label: label map in the query's own grid.
        cost: what the result cost; None: `Bench` measures it.
        expected: class name -> the Dice to expect; counts for the model alone.
        warnings: sentences about the case; count for the model alone.
    """

    label: LabelVolume
    cost: Cost | None = None
    expected: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


Peer = Callable[[Question], Answer]


@dataclass(frozen=True)
class Pair:
    """One query, segmented by every method with one reference set.

    Attributes:
        set_index: number of the reference set, from 0.
        references: case names of the references.
        query: case name of the query.
        group: the query's patient.
        scores: method -> value -> score: the model, copy-prompt with the first reference, then the peers. A
            method that failed scores as an empty result. Empty where the case cannot be measured.
        failures: method -> why it has no result; a case that cannot be measured is a failure of the model.
        costs: method -> seconds and peak memory of segmenting the query; nothing for a failed one.
        copied_how: "rescaled" or "centred", the better of copy-prompt's two ways for this pair.
        expected: class name -> the Dice to expect of the model.
        usual: value -> mean volume of the class in the references, in voxels of the query.
        warnings: the model's sentences about the case.
    """

    set_index: int
    references: tuple[str, ...]
    query: str
    group: str
    scores: Mapping[str, Mapping[int, ClassScore]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    copied_how: str = ""
    expected: Mapping[str, float] = field(default_factory=dict)
    usual: Mapping[int, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def dice(self, method: str = MODEL) -> float | None:
        """A method's mean Dice over the classes that the truth contains."""
        return mean_dice(self.scores.get(method, {}))

    @property
    def seconds(self) -> float:
        """The model's time to segment the query, without reading files; 0 where it failed."""
        return self.costs.get(MODEL, Cost(None)).seconds or 0.0


@dataclass(frozen=True)
class Measurement:
    """All pairs of a run, and the cost of encoding each reference set."""

    pairs: tuple[Pair, ...]
    encoding: tuple[Cost, ...]


@dataclass(frozen=True)
class Bench:
    """What stays the same over a run.

    Attributes:
        names: value -> class name.
        groups: case name -> patient.
        encode: makes a task from references and the names of the classes wanted.
        apply: segments one image with a task.
        channel: channel to take of images with several.
        peers: name -> method that segments a query with the same references.
        ignored: label value of voxels that are never scored; None: every voxel is scored.
        sparse: how incompletely drawn labels are read (iris_core.volume.unknown.SPARSE); with "slices", the
            slices that nobody drew on are not scored.
    """

    names: Mapping[int, str]
    groups: Mapping[str, str]
    encode: Encode
    apply: Apply
    channel: int | None = None
    peers: Mapping[str, Peer] = field(default_factory=dict)
    ignored: int | None = None
    sparse: str = "no"

    def measure(
        self, sets: Sequence[ReferenceSet], step: Callable[[Pair], None] = lambda _: None
    ) -> Measurement:
        """Measures every set on its queries. References are encoded once a set.

        A case that fails does not end the run: its classes count as Dice 0 and the pair records why. A case
        whose files cannot be read counts for nothing, since there is no truth to compare with.

        Args:
            sets: what to run, as `Candidates` gives them.
            step: called with each pair once it is measured.
        """
        pairs: list[Pair] = []
        encoding: list[Cost] = []
        for index, chosen in enumerate(sets):
            for pair in self._measure_set(index, chosen, encoding):
                pairs.append(pair)
                step(pair)
        return Measurement(tuple(pairs), tuple(encoding))

    def _measure_set(self, index: int, chosen: ReferenceSet, encoding: list[Cost]) -> Iterator[Pair]:
        """The pairs of one set; adds the cost of its encoding."""
        names = tuple(case.name for case in chosen.references)
        blanks = [Pair(index, names, query.name, group_of(query, self.groups)) for query in chosen.queries]
        try:
            references = [self._read(case) for case in chosen.references]
        except IrisError as error:
            yield from (replace(blank, failures={MODEL: str(error)}) for blank in blanks)
            return
        failures, wanted = {}, [self.names[value] for value in chosen.values]

        def encode() -> Task | None:
            try:
                return self.encode(references, wanted)
            except Exception as error:
                failures[MODEL] = _reason(error, ", ".join(names))
                return None

        task, cost = measured(encode)
        encoding.append(cost)
        for blank, query in zip(blanks, chosen.queries, strict=True):
            pair = replace(blank, failures=failures)
            yield self._measure_pair(pair, query, references, chosen.values, task)

    def _measure_pair(
        self,
        blank: Pair,
        query: LabelledCase,
        references: Sequence[tuple[Volume, LabelVolume]],
        values: Sequence[int],
        task: Task | None,
    ) -> Pair:
        try:
            image, truth = self._read(query)
        except IrisError as error:
            return replace(blank, failures={MODEL: str(error)})
        if self.sparse == "slices":  # beside strokes nothing would be left to score
            truth = without_gaps(truth)
        copies, cost = measured(lambda: copy_prompt(references[0][1], image, values))
        copied = {
            how: dice_per_class(truth.array, label.array, values, truth.unknown)
            for how, label in copies.items()
        }
        better = max(copied, key=lambda how: mean_dice(copied[how]) or 0.0)
        empty = {value: ClassScore(score.truth_voxels, 0, 0) for value, score in copied[better].items()}
        scores = {MODEL: empty, COPY: copied[better], **dict.fromkeys(self.peers, empty)}
        usual = _usual(references, values, image)
        pair = replace(blank, scores=scores, copied_how=better, usual=usual, costs={COPY: cost})
        question = Question(blank.set_index, query.name, references, image, values, task)
        for name, peer in self.peers.items():
            pair = _with_answer(pair, name, peer, question, truth)
        if task is None:
            return pair
        return _with_answer(pair, MODEL, partial(self._by_model, task), question, truth)

    def _by_model(self, task: Task, question: Question) -> Answer:
        prediction, cost = measured(lambda: self.apply(task, question.image))
        cost = replace(cost, seconds=prediction.seconds)
        return Answer(prediction.label, cost, prediction.quality, tuple(prediction.warnings))

    def _read(self, case: LabelledCase) -> tuple[Volume, LabelVolume]:
        image = read_image(case.image, channel=self.channel)
        names = {**self.names, **({} if self.ignored is None else {self.ignored: IGNORED})}
        return image, fit_label(read_label(case.label, labels=names), image)


def _with_answer(pair: Pair, name: str, method: Peer, question: Question, truth: LabelVolume) -> Pair:
    """The pair with a method's scores, or with the reason why it has none."""
    try:
        answer, cost = measured(lambda: method(question))
        scores = dice_per_class(truth.array, answer.label.array, question.values, truth.unknown)
    except Exception as error:
        return replace(pair, failures={**pair.failures, name: _reason(error, question.query)})
    costs = {**pair.costs, name: answer.cost or cost}
    pair = replace(pair, scores={**pair.scores, name: scores}, costs=costs)
    return replace(pair, expected=answer.expected, warnings=answer.warnings) if name == MODEL else pair


def _usual(
    references: Sequence[tuple[Volume, LabelVolume]], values: Sequence[int], image: Volume
) -> dict[int, float]:
    """Mean volume of each class in the references, in voxels of the image."""
    voxel = float(np.prod(image.spacing))
    volumes = [
        [float(np.prod(label.spacing)) * np.count_nonzero(label.array == value) for value in values]
        for _, label in references
    ]
    return dict(zip(values, (np.mean(volumes, axis=0) / voxel).tolist(), strict=True))


def _reason(error: Exception, case: str) -> str:
    LOG.debug("case %s failed", case, exc_info=error)
    return sentence_of(error, case)
