"""CaseIndex: which preprocessed case holds which class, and from which pairs an episode may be drawn.

Paper: Algorithm 1, lines 5-7: the dataset first, then query and reference from it. In a union of datasets the
dataset is the case's group. A class that a group does not annotate is never drawn from it. Departs: reference
and query never show the same person, and the dataset is drawn by its weight (docs/decisions/0030).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.errors import InputError
from nnunet_trainers.datasets.partial_labels import PartialLabels

Task = tuple[str, str]  # a group and a class of it


@dataclass(frozen=True)
class Pair:
    """Who takes part in an episode.

    Attributes:
        group: of the cases.
        reference: case that shows the classes.
        query: case that is segmented.
        lead: the class that both must show.
    """

    group: str
    reference: str
    query: str
    lead: str


class CaseIndex:
    """The cases of one fold.

    Args:
        held: case -> names of the classes with a voxel in it.
        labels: groups and what they annotate.
        queries: the cases that may be queries; None: all.

    Attributes:
        classes: every class that some case holds and annotates.
        tasks: every group with every class that an episode of it can lead with.

    Raises:
        InputError: no group has two persons, one of whom holds a class.
    """

    def __init__(
        self,
        held: Mapping[str, Sequence[str]],
        labels: PartialLabels,
        queries: Collection[str] | None = None,
    ) -> None:
        self.labels, self._queries = labels, set(held if queries is None else queries)
        self.held = {
            case: tuple(name for name in labels.classes_of(case) if name in names)
            for case, names in held.items()
        }
        self._cases: dict[str, list[str]] = {}
        for case in sorted(self.held):
            self._cases.setdefault(labels.groups[case], []).append(case)
        self._groups = [group for group, cases in self._cases.items() if self._usable(cases)]
        if not self._groups:
            raise InputError(
                "no episode can be drawn",
                where="training cases",
                expected="two cases of different persons in one dataset, one of them with a class",
                found=f"{len(self.held)} cases: {', '.join(sorted(self.held)[:5])}",
                remedy="add cases, or choose another fold",
            )
        weights = np.array([labels.weights[group] for group in self._groups])
        self._shares = weights / weights.sum()
        self.classes = tuple(sorted({name for names in self.held.values() for name in names}))
        self.tasks: tuple[Task, ...] = tuple(
            (group, name) for group in self._groups for name in self._leads(self._cases[group])
        )

    def draw(self, rng: np.random.Generator, *, anywhere: bool, task: Task | None = None) -> Pair:
        """A group, a class, a reference that holds it, and a query of another person.

        Args:
            rng: source of the choices.
            anywhere: the query may lack the class; else one that holds it is taken where there is one.
            task: group and class, one of `tasks`; None draws them.
        """
        group, lead = self._task(rng) if task is None else task
        cases = self._cases[group]
        reference = _choice(rng, [c for c in cases if lead in self.held[c] and self._others(c, cases)])
        others = self._others(reference, cases)
        holders = [case for case in others if lead in self.held[case]]
        return Pair(group, reference, _choice(rng, others if anywhere or not holders else holders), lead)

    def _task(self, rng: np.random.Generator) -> Task:
        group = self._groups[int(rng.choice(len(self._groups), p=self._shares))]
        return group, _choice(rng, self._leads(self._cases[group]))

    def _leads(self, cases: Sequence[str]) -> list[str]:
        return sorted({name for case in cases if self._others(case, cases) for name in self.held[case]})

    def _others(self, case: str, cases: Sequence[str]) -> list[str]:
        person = self.labels.person_of(case)
        return [c for c in cases if c in self._queries and c != case and self.labels.person_of(c) != person]

    def _usable(self, cases: Sequence[str]) -> bool:
        return any(self.held[case] and self._others(case, cases) for case in cases)


def _choice(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]
