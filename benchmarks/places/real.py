"""Cases of the bench from real studies: whole, cropped by a third, and with fields moved apart by a third.

Cropped: the query lacks a third at one side. Moved: the reference lacks a third at the other side as well.
The whole pair stays in the bench as the one to compare both with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.analyses.bench.studies import Study, open_studies
from benchmarks.places.case import BENCH_SEED, Case

# Dataset -> pairs, and whether they are cropped. Of 901 cases 31 to 60 count, of the others all.
REAL: dict[str, tuple[str, int, bool]] = {
    "901": ("Dataset901_HippocampusMR:31-60", 8, True),
    "902": ("Dataset902_HeadNeckCT", 4, False),
    "903": ("Dataset903_SpinalCordMR", 12, False),
    "907": ("Dataset907_MouseBrainMR", 2, True),
}
PEOPLE = {"903": lambda name: name.split("_")[0]}  # two sessions of one person are no pair
KEPT = 2 / 3  # of the axis that is cropped
SHOWN = 0.7  # of the labelled voxels that a crop leaves, at least, where a crop does


def real_cases(data: Path, groups: Sequence[str] = tuple(REAL), limit: int | None = None) -> Iterator[Case]:
    """The cases of real datasets, at most `limit` pairs of each."""
    for group in groups:
        spec, pairs, cropped = REAL[group]
        studies = open_studies(f"{data}/{spec}")
        rng = np.random.default_rng((BENCH_SEED, int(group)))
        for number in range(pairs if limit is None else min(limit, pairs)):
            reference, query = _pair(studies, group, rng)
            half = "AB"[number % 2]
            name = f"{group}-{number:02d}"
            yield Case(name, f"{group}-whole" if cropped else group, half, reference, query, True)
            if cropped:
                axis, low = _side(query, rng)
                shorter = _cropped(query, axis, low)
                yield Case(f"{name}-cropped", f"{group}-cropped", half, reference, shorter, True)
                opposite = _cropped(reference, axis, not low)
                yield Case(f"{name}-moved", f"{group}-moved", half, opposite, shorter, True)


def _pair(studies: Sequence[Study], group: str, rng: np.random.Generator) -> tuple[Study, Study]:
    person = PEOPLE.get(group, lambda name: name)
    while True:
        one, other = rng.choice(len(studies), 2, replace=False)
        if person(studies[one].name) != person(studies[other].name):
            return studies[one], studies[other]


def _side(study: Study, rng: np.random.Generator) -> tuple[int, bool]:
    """An axis, and whether its lower part is kept: at random of those that leave enough of the structures."""
    sides = [(axis, low) for axis in range(3) for low in (True, False)]
    whole = np.count_nonzero(study.label.array)
    shares = [np.count_nonzero(_cropped(study, *side).label.array) / whole for side in sides]
    enough = [side for side, share in zip(sides, shares, strict=True) if share >= SHOWN]
    return enough[rng.integers(len(enough))] if enough else sides[int(np.argmax(shares))]


def _cropped(study: Study, axis: int, low: bool) -> Study:
    length = study.image.shape[axis]
    kept = round(KEPT * length)
    box = [slice(0, size) for size in study.image.shape]
    box[axis] = slice(0, kept) if low else slice(length - kept, length)
    return study.within(tuple(box))
