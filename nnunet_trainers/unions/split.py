"""Splitting one group's cases into training, validation and test, whole persons at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

PAPER_SHARES = (75.0, 5.0, 20.0)  # per cent; supplement 7
LEAST_TRAINED = 2  # persons: a reference and a query


class Split(NamedTuple):
    """Case names, sorted."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def split_persons(
    cases: Sequence[str],
    persons: Mapping[str, str],
    shares: tuple[float, float, float],
    rng: np.random.Generator,
) -> Split:
    """Draws a split in which nobody stands on two sides.

    Shares count persons, rounded. At least one person validates where that share is above 0, as long as two
    are left to train on; the test part gives way first.

    Paper: supplement 7, 75/5/20.

    Args:
        cases: case names of one group.
        persons: case -> person; a case without an entry is a person of its own.
        shares: training, validation, test; any scale.
        rng: draws the order.
    """
    of_person: dict[str, list[str]] = {}
    for case in sorted(cases):
        of_person.setdefault(persons.get(case, case), []).append(case)
    order = [sorted(of_person)[index] for index in rng.permutation(len(of_person))]
    count, total = len(order), sum(shares)
    val = max(1, round(count * shares[1] / total)) if shares[1] > 0 else 0
    val = min(val, max(0, count - LEAST_TRAINED))
    test = min(round(count * shares[2] / total), max(0, count - val - LEAST_TRAINED))
    parts = order[test + val :], order[test : test + val], order[:test]
    return Split(*(tuple(sorted(case for person in part for case in of_person[person])) for part in parts))
