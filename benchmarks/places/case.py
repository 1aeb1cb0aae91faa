"""One case of the bench, and the drawing of all of them by seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.analyses.bench.studies import Study
from benchmarks.places.groups import SYNTHETIC
from benchmarks.places.scan import scan

BENCH_SEED = 16_000  # of no training episode


@dataclass(frozen=True, eq=False)
class Case:
    """A reference, a query, and whether the fields of view tell the place.

    Attributes:
        name: of the case.
        group: of the bench.
        half: "A" may calibrate, "B" is reported.
        reference: the labelled study.
        query: the study to segment, with its truth.
        place_is_visible: a landmark that tells the place lies in both fields, or the place needs none.
    """

    name: str
    group: str
    half: str
    reference: Study
    query: Study
    place_is_visible: bool

    @property
    def values(self) -> tuple[int, ...]:
        """Label values that reference and query both show."""
        return tuple(v for v in self.reference.label.values if v in self.query.label.values)


def synthetic_cases(groups: tuple[str, ...] = tuple(SYNTHETIC), limit: int | None = None) -> Iterator[Case]:
    """Draws the cases of groups, at most `limit` of each, even numbers for half A and odd ones for half B."""
    for group in groups:
        _, count = SYNTHETIC[group]
        for number in range(count if limit is None else min(limit, count)):
            yield _case(group, number)


def _case(group: str, number: int) -> Case:
    draw, _ = SYNTHETIC[group]
    rng = np.random.default_rng((BENCH_SEED, list(SYNTHETIC).index(group), number))
    body, first, second = draw(rng)
    name = f"{group}-{number:02d}"
    one, other = scan(body, first, f"{name}-reference", rng), scan(body, second, f"{name}-query", rng)
    visible = not body.landmarks or bool(one.landmarks & other.landmarks)
    return Case(name, group, "AB"[number % 2], one.study, other.study, visible)
