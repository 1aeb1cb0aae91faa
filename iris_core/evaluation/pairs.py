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
        values: label values asked for: those that every reference holds.
        missing: asked values that some reference lacks, hence not measured here.
    """

    references: tuple[LabelledCase, ...]
    queries: tuple[LabelledCase, ...]
    values: tuple[int, ...]
    missing: tuple[int, ...] = ()


def draw_sets(
    cases: Sequence[LabelledCase],
    *,
    references: int,
    shots: int,
    queries: int,
    seed: int,
    groups: Mapping[str, str],
    values: Sequence[int],
    holds: Callable[[LabelledCase], frozenset[int]],
) -> list[ReferenceSet]:
    """Draws reference sets and, for each, its queries.

    Cases that hold every asked class become references before those that lack one. No case is reference
    twice before all such cases were. Queries are drawn anew for each set.

    Args:
        cases: cases to draw from.
        references: number of reference sets.
        shots: references in a set.
        queries: queries a set; fewer when no more are left.
        seed: makes the draw repeatable.
        groups: case name -> patient; a case without an entry is a patient of its own.
        values: label values asked for.
        holds: gives the values in a case's label; called only for cases that may become references.

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
    pool = _reference_pool(
        [cases[index] for index in rng.permutation(len(cases))], references * shots, values, holds
    )
    if len(pool) < shots:
        raise InputError("too few cases for a reference set", expected=f"at least {shots}", found=len(pool))
    sets, deck = [], list(pool)
    for _ in range(references):
        if len(deck) < shots:
            deck = [pool[index] for index in rng.permutation(len(pool))]
        chosen, deck = deck[:shots], deck[shots:]
        others = _of_other_patients(cases, chosen, groups)
        drawn = [others[index] for index in rng.permutation(len(others))[:queries]]
        sets.append(_reference_set(chosen, drawn, values, holds))
    return sets


def ordered_pairs(
    cases: Sequence[LabelledCase],
    *,
    groups: Mapping[str, str],
    values: Sequence[int],
    holds: Callable[[LabelledCase], frozenset[int]],
) -> list[ReferenceSet]:
    """Gives every ordered (reference, query) pair of different patients, one set a reference."""
    return [
        _reference_set([case], _of_other_patients(cases, [case], groups), values, holds) for case in cases
    ]


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
    """Gives the patient of a case; a case without an entry is its own."""
    return groups.get(case.name, case.name)


def _reference_pool(
    shuffled: Sequence[LabelledCase],
    needed: int,
    values: Sequence[int],
    holds: Callable[[LabelledCase], frozenset[int]],
) -> list[LabelledCase]:
    """The first `needed` complete cases; when no case is complete, those that lack the fewest classes."""
    complete: list[LabelledCase] = []
    lacking = []
    for case in shuffled:
        if len(complete) == needed:
            break
        missing = len(set(values) - holds(case))
        if missing == 0:
            complete.append(case)
        elif missing < len(set(values)):
            lacking.append((missing, case))
    lacking.sort(key=lambda entry: entry[0])
    return complete + [case for _, case in lacking][: needed - len(complete)]


def _reference_set(
    references: Sequence[LabelledCase],
    queries: Sequence[LabelledCase],
    values: Sequence[int],
    holds: Callable[[LabelledCase], frozenset[int]],
) -> ReferenceSet:
    held = frozenset.intersection(*(holds(case) for case in references))
    asked = tuple(value for value in values if value in held)
    if not asked:
        raise InputError(
            "the references share no asked class",
            where=", ".join(case.name for case in references),
            expected=f"one of the values {list(values)}",
        )
    return ReferenceSet(tuple(references), tuple(queries), asked, tuple(v for v in values if v not in held))


def _of_other_patients(
    cases: Sequence[LabelledCase], references: Sequence[LabelledCase], groups: Mapping[str, str]
) -> list[LabelledCase]:
    taken = {group_of(case, groups) for case in references}
    others = [case for case in cases if group_of(case, groups) not in taken]
    if not others:
        raise InputError(
            "no query of another patient is left",
            where=", ".join(case.name for case in references),
            remedy="give more cases or fewer --shots",
        )
    return others
