"""Runs reference sets over their queries and compares each result with the truth in the query's own grid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import IrisError
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
    """What a peer is asked: one query, with what the model had.

    Attributes:
        set_index: number of the reference set, from 0.
        query: case name of the query.
        references: images with label maps in their grids.
        image: the query.
        values: label values wanted.
        task: what the model made of the references; None when it failed.
    """

    set_index: int
    query: str
    references: Sequence[tuple[Volume, LabelVolume]]
    image: Volume
    values: Sequence[int]
    task: Task | None


@dataclass(frozen=True)
class Answer:
    """What a peer answers.

    Attributes:
        label: label map in the query's own grid.
        cost: of work that was done before; None where the work was done now and is measured now.
    """

    label: LabelVolume
    cost: Cost | None = None


Peer = Callable[[Question], Answer]


@dataclass(frozen=True)
class Pair:
    """One query segmented with one reference set.

    Attributes:
        set_index: number of the reference set, from 0.
        references: case names of the references.
        query: case name of the query.
        group: the query's patient.
        scores: value -> score of the model; a failed case scores as an empty result; nothing when
            the case cannot be measured.
        copied: value -> score of copy-prompt, from the first reference.
        copied_how: "rescaled" or "centred", the better of the two for this pair.
        peers: name -> scores like `scores`, of the other methods asked for; a failed one scores as empty.
        peer_failures: peer -> why it has no result.
        expected: class name -> the Dice that the model expected.
        usual: value -> mean volume of the class in the references, in voxels of the query.
        costs: method -> seconds and peak memory of segmenting the query; nothing for a failed one.
        seconds: time to segment the query, without reading files.
        failure: why there is no result, or None.
        warnings: what the model had to say about the case.
    """

    set_index: int
    references: tuple[str, ...]
    query: str
    group: str
    scores: Mapping[int, ClassScore] = field(default_factory=dict)
    copied: Mapping[int, ClassScore] = field(default_factory=dict)
    copied_how: str = ""
    peers: Mapping[str, Mapping[int, ClassScore]] = field(default_factory=dict)
    peer_failures: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    usual: Mapping[int, float] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def dice(self) -> float | None:
        """Mean Dice over the classes that the truth holds."""
        return mean_dice(self.scores)

    @property
    def copied_dice(self) -> float | None:
        """The same mean for copy-prompt."""
        return mean_dice(self.copied)

    def peer_dice(self, name: str) -> float | None:
        """The same mean for a peer."""
        return mean_dice(self.peers.get(name, {}))

    @property
    def methods(self) -> dict[str, Mapping[int, ClassScore]]:
        """Method -> scores: the model, copy-prompt, then the peers."""
        return {MODEL: self.scores, COPY: self.copied, **self.peers}


@dataclass(frozen=True)
class Measurement:
    """All pairs of a run, and what each reference set took to encode: seconds, and the peak memory in MB."""

    pairs: tuple[Pair, ...]
    encode_seconds: tuple[float, ...]
    encode_peaks: tuple[float | None, ...] = ()


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
        ignored: label value of voxels that are never scored; None: there are none.
        sparse: how labels were drawn that do not show a structure throughout
            (iris_core.volume.unknown.SPARSE); slices that nobody drew on are not scored either.
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

        A case that fails does not end the run: its classes count as Dice 0 and the pair says why. A case
        whose files cannot be read counts for nothing, since there is no truth to compare with.

        Args:
            sets: what to run, from `draw_sets` or `ordered_pairs`.
            step: called with each pair once it is measured.
        """
        pairs: list[Pair] = []
        costs: list[Cost] = []
        for index, chosen in enumerate(sets):
            found, cost = self._measure_set(index, chosen, step)
            pairs += found
            costs += [] if cost is None else [cost]
        return Measurement(
            tuple(pairs), tuple(cost.seconds or 0.0 for cost in costs), tuple(cost.peak_mb for cost in costs)
        )

    def _measure_set(
        self, index: int, chosen: ReferenceSet, step: Callable[[Pair], None]
    ) -> tuple[list[Pair], Cost | None]:
        names = tuple(case.name for case in chosen.references)
        blanks = [Pair(index, names, query.name, group_of(query, self.groups)) for query in chosen.queries]
        try:
            references = [self._read(case) for case in chosen.references]
        except IrisError as error:
            failed = [replace(blank, failure=str(error)) for blank in blanks]
            for pair in failed:
                step(pair)
            return failed, None
        failure, wanted = None, [self.names[value] for value in chosen.values]

        def encode() -> Task | None:
            nonlocal failure
            try:
                return self.encode(references, wanted)
            except Exception as error:
                failure = _say(error, ", ".join(names))
                return None

        task, cost = measured(encode)
        pairs = []
        for blank, query in zip(blanks, chosen.queries, strict=True):
            pair = self._measure_pair(blank, query, references, chosen.values, task)
            pairs.append(replace(pair, failure=pair.failure or failure))
            step(pairs[-1])
        return pairs, cost

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
            return replace(blank, failure=str(error))
        if self.sparse == "slices":  # beside strokes nothing would be left to score
            truth = without_gaps(truth)
        how, copied, cost = _better_copy(references[0][1], image, truth, values)
        nothing = {value: ClassScore(score.truth_voxels, 0, 0) for value, score in copied.items()}
        usual = _usual(references, values, image)
        pair = replace(blank, scores=nothing, copied=copied, copied_how=how, usual=usual, costs={COPY: cost})
        question = Question(blank.set_index, query.name, references, image, values, task)
        for name, peer in self.peers.items():
            pair = _with_peer(pair, name, peer, question, truth, nothing)
        if task is None:
            return pair
        try:
            prediction, cost = measured(lambda: self.apply(task, image))
            scores = dice_per_class(truth.array, prediction.label.array, values, truth.unknown)
        except Exception as error:
            return replace(pair, failure=_say(error, query.name))
        return replace(
            pair,
            scores=scores,
            expected=prediction.quality,
            costs={MODEL: replace(cost, seconds=prediction.seconds), **pair.costs},
            seconds=prediction.seconds,
            warnings=tuple(prediction.warnings),
        )

    def _read(self, case: LabelledCase) -> tuple[Volume, LabelVolume]:
        image = read_image(case.image, channel=self.channel)
        names = {**self.names, **({} if self.ignored is None else {self.ignored: IGNORED})}
        return image, fit_label(read_label(case.label, labels=names), image)


def _with_peer(
    pair: Pair, name: str, peer: Peer, question: Question, truth: LabelVolume, nothing: Mapping
) -> Pair:
    try:
        answer, cost = measured(lambda: peer(question))
        found = dice_per_class(truth.array, answer.label.array, question.values, truth.unknown)
    except Exception as error:
        why = _say(error, question.query)
        LOG.debug("%s: %s", name, why)
        return replace(
            pair, peers={**pair.peers, name: nothing}, peer_failures={**pair.peer_failures, name: why}
        )
    return replace(pair, peers={**pair.peers, name: found}, costs={**pair.costs, name: answer.cost or cost})


def _better_copy(
    reference: LabelVolume, image: Volume, truth: LabelVolume, values: Sequence[int]
) -> tuple[str, dict[int, ClassScore], Cost]:
    copied, cost = measured(lambda: copy_prompt(reference, image, values))
    candidates = [
        (how, dice_per_class(truth.array, label.array, values, truth.unknown))
        for how, label in (("rescaled", copied.rescaled), ("centred", copied.centred))
    ]
    return *max(candidates, key=lambda candidate: mean_dice(candidate[1]) or 0.0), cost


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


def _say(error: Exception, case: str) -> str:
    LOG.debug("case %s failed", case, exc_info=error)
    if isinstance(error, IrisError):
        return str(error)
    return f"{case}: unexpected {type(error).__name__}: " + " ".join(str(error).split())
