"""Which references meet which queries: drawn with a seed, never two scans of one patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.label_names import read_json
from iris_core.volume_io.folder.raw_dataset import LabelledCase


@dataclass(frozen=True)
class ReferenceSet:
    """References that are encoded once, the queries they meet, and the classes they all hold.

    Attributes:
        references: the labelled cases to learn the task from.
        queries: the cases to segment.
        values: the wanted label values that every reference holds.
        missing: wanted values that some reference lacks, hence not measured here.
    """

    references: tuple[LabelledCase, ...]
    queries: tuple[LabelledCase, ...]
    values: tuple[int, ...]
    missing: tuple[int, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """Labelled cases that may become references and queries.

    Attributes:
        cases: the cases.
        groups: case name -> patient; a case without an entry is a patient of its own.
        values: label values wanted.
        holds: gives the values in a case's label; called only for cases that may become references.
    """

    cases: Sequence[LabelledCase]
    groups: Mapping[str, str]
    values: Sequence[int]
    holds: Callable[[LabelledCase], frozenset[int]]

    def draw_sets(self, *, references: int, shots: int, queries: int, seed: int) -> list[ReferenceSet]:
        """Draws reference sets and, for each, its queries.

        Cases that hold every wanted class become references before those that lack one. No case is reference
        twice before all such cases were. Queries are drawn anew for each set.

        Args:
            references: number of reference sets.
            shots: references in a set.
            queries: queries a set; fewer when no more are left.
            seed: makes the draw repeatable.

        Raises:
            InputError: too few cases, or a set for which no query of another patient is left.
        """
        if min(references, shots, queries) < 1:
            raise InputError(
                "nothing to draw",
                expected="--references, --shots and --queries of 1 or more",
                found=f"{references}, {shots}, {queries}",
            )
        rng = np.random.default_rng(seed)
        shuffled = [self.cases[index] for index in rng.permutation(len(self.cases))]
        pool = self._most_complete(shuffled, references * shots)
        if len(pool) < shots:
            raise InputError(
                "too few cases for a reference set", expected=f"at least {shots}", found=len(pool)
            )
        sets, deck = [], list(pool)
        for _ in range(references):
            if len(deck) < shots:
                deck = [pool[index] for index in rng.permutation(len(pool))]
            chosen, deck = deck[:shots], deck[shots:]
            others = self._of_other_patients(chosen)
            drawn = [others[index] for index in rng.permutation(len(others))[:queries]]
            sets.append(self._set(chosen, drawn))
        return sets

    def ordered_pairs(self) -> list[ReferenceSet]:
        """Every ordered (reference, query) pair of different patients, one set a reference."""
        return [self._set([case], self._of_other_patients([case])) for case in self.cases]

    def _most_complete(self, shuffled: Sequence[LabelledCase], needed: int) -> list[LabelledCase]:
        """The first cases that hold every class; where those are too few, then those that lack the fewest."""
        complete: list[LabelledCase] = []
        lacking = []
        for case in shuffled:
            if len(complete) == needed:
                break
            missing = len(set(self.values) - self.holds(case))
            if missing == 0:
                complete.append(case)
            elif missing < len(set(self.values)):
                lacking.append((missing, case))
        lacking.sort(key=lambda entry: entry[0])
        return complete + [case for _, case in lacking][: needed - len(complete)]

    def _set(self, references: Sequence[LabelledCase], queries: Sequence[LabelledCase]) -> ReferenceSet:
        held = frozenset.intersection(*(self.holds(case) for case in references))
        shared = tuple(value for value in self.values if value in held)
        if not shared:
            raise InputError(
                "the references share none of the wanted classes",
                where=", ".join(case.name for case in references),
                expected=f"one of the values {list(self.values)}",
            )
        missing = tuple(value for value in self.values if value not in held)
        return ReferenceSet(tuple(references), tuple(queries), shared, missing)

    def _of_other_patients(self, references: Sequence[LabelledCase]) -> list[LabelledCase]:
        taken = {group_of(case, self.groups) for case in references}
        others = [case for case in self.cases if group_of(case, self.groups) not in taken]
        if not others:
            raise InputError(
                "no query of another patient is left",
                where=", ".join(case.name for case in references),
                remedy="give more cases or fewer --shots",
            )
        return others


def read_groups(path: str | Path | None, cases: Sequence[LabelledCase]) -> dict[str, str]:
    """Reads which cases are of one patient.

    Args:
        path: JSON object, case name -> patient; None when every case is a patient of its own.
        cases: the dataset's cases.

    Raises:
        InputError: the file is unreadable, no such object, or names a case that the dataset lacks.
    """
    if path is None:
        return {}
    data = read_json(Path(path))
    if not isinstance(data, dict):
        raise InputError(
            "no groups", where=path, expected='{"case": "patient", ...}', found=type(data).__name__
        )
    unknown = sorted(set(data) - {case.name for case in cases})
    if unknown:
        raise InputError(
            "a group names an unknown case",
            where=path,
            expected=f"names like {cases[0].name}",
            found=unknown[0],
        )
    return {name: str(group) for name, group in data.items()}


def group_of(case: LabelledCase, groups: Mapping[str, str]) -> str:
    """The patient of a case; a case without an entry is its own."""
    return groups.get(case.name, case.name)
