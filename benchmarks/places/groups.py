"""The groups of the bench: which body, and which two fields of view of it make the place hard.

Each group draws a body and the fields of reference and query from a generator. Lengths are in mm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.places.scan import Field
from benchmarks.places.worlds import Body, Column, Heart, Pair, Ribs, Teeth
from benchmarks.places.worlds.column import PITCH
from benchmarks.places.worlds.ribs import PITCH as RIB_PITCH

Drawn = tuple[Body, Field, Field]
Draw = Callable[[np.random.Generator], Drawn]

MILD = 8.0  # degrees that any patient may lie turned


def column_ct(rng: np.random.Generator) -> Drawn:
    """Vertebrae on CT; the query's field is moved by one or two levels, or by a third of itself."""
    return _column(rng, "ct", (3.0, 3.0, 3.0))


def column_mr(rng: np.random.Generator) -> Drawn:
    """The same on sagittal MR."""
    return _column(rng, "mr", (4.0, 2.7, 2.7))


def discs_mr(rng: np.random.Generator) -> Drawn:
    """Discs on sagittal MR."""
    return _column(rng, "mr", (4.0, 2.4, 2.4), discs=True)


def column_hard_scan(rng: np.random.Generator) -> Drawn:
    """Vertebrae in thick slices, or with a query turned by 10 to 40 degrees in the plane of the slices."""
    contrast = rng.choice(("ct", "mr"))
    if rng.random() < 0.5:
        body, first, second = _column(rng, contrast, (3.0, 3.0, 3.0))
        return body, first, replace(second, spacing=(float(rng.uniform(8, 10)), 2.2, 2.2))
    body, first, second = _column(rng, contrast, (4.0, 2.7, 2.7))
    angle = float(rng.uniform(10, 40) * rng.choice((-1, 1)))
    return body, first, replace(second, turn=(angle, 0.0, 0.0), extent=(104.0, 150.0, second.extent[2]))


def column_blind(rng: np.random.Generator) -> Drawn:
    """Vertebrae in the middle of a long column: no field shows a landmark, so the place cannot be known."""
    levels, shown = 13, float(rng.uniform(4.5, 6.0)) * PITCH
    middle = 6.5 * PITCH
    labelled = (5, 6, 7)
    body = Column(str(rng.choice(("ct", "mr"))), levels, labelled, lumbar=bool(rng.random() < 0.5))
    move = float(rng.choice((-1, 1)) * rng.choice((0, 0.5, 1.0, 1.5))) * PITCH
    fields = [Field((0, -8, middle + m), (104, 112, shown), (3.0, 3.0, 3.0)) for m in (0.0, move)]
    return body, fields[0], fields[1]


def teeth(rng: np.random.Generator) -> Drawn:
    """Three or four neighbours of one side; the query's field is whole or lacks a third at one side."""
    first = int(rng.integers(1, 9))
    body = Teeth(tuple(range(first, first + int(rng.integers(3, 5)))))
    right = first >= 5
    whole = Field((0, -4, 4), (88, 92, 52), (1.7, 1.7, 1.9))
    choice = rng.integers(3)
    if choice == 0:
        return body, whole, replace(whole, turn=(0, 0, float(rng.uniform(-20, 20))))
    if choice == 1:
        return body, whole, replace(whole, centre=(14.0 if right else -14.0, -4, 4), extent=(60, 92, 52))
    return body, whole, replace(whole, centre=(0, -16, 4), extent=(88, 68, 52))


def ribs(rng: np.random.Generator) -> Drawn:
    """Three ribs of eight to ten; the query's field is moved along the chest or ends earlier."""
    levels = int(rng.integers(8, 11))
    first = int(rng.integers(2, levels - 4))
    body = Ribs(levels, (first, first + 1, first + 2))
    height = levels * RIB_PITCH
    low = first < (levels - 3) / 2
    long = 0.8 * height
    centres = [0.36 * height if low else 0.68 * height] * 2
    centres[1] += float(rng.choice((-1, 0, 1))) * RIB_PITCH * float(rng.uniform(0.8, 1.6))
    fields = [Field((78, 0, c), (124, 216, long), (4.0, 4.0, 3.6)) for c in centres]
    return body, fields[0], fields[1]


def paired(rng: np.random.Generator) -> Drawn:
    """Two organs that look alike; the query's field is whole, or shows one of them and the spine."""
    whole = Field((0, -8, 4), (272, 168, 150), (4.2, 4.2, 4.2))
    move = float(rng.choice((-1, 0, 1)))
    query = whole if move == 0 else replace(whole, centre=(56 * move, -8, 4), extent=(170, 168, 150))
    return Pair(str(rng.choice(("ct", "mr")))), whole, query


def hearts(rng: np.random.Generator) -> Drawn:
    """Hearts in slices of 8 to 10 mm, away from the middle of the field; every other query lies turned."""

    def field() -> Field:
        away = rng.uniform(-45, 45, 2)
        centre = (-30 + float(away[0]), 18 + float(away[1]), float(rng.uniform(-8, 8)))
        return Field(centre, (190, 190, 100), (2.9, 2.9, float(rng.uniform(8, 10))))

    turn = float(rng.uniform(10, 40) * rng.choice((-1, 1))) if rng.random() < 0.5 else 0.0
    return Heart(), field(), replace(field(), turn=(0.0, 0.0, turn))


def _column(
    rng: np.random.Generator, contrast: str, spacing: tuple[float, float, float], *, discs: bool = False
) -> Drawn:
    levels, lumbar = int(rng.integers(5, 8)), bool(rng.random() < 0.5)
    low = bool(rng.random() < 0.5)  # the landmark below the look-alikes is in both fields, or the one above
    shown = (levels + 0.5) * PITCH
    count = int(rng.integers(3, 5))
    first = 0 if low else levels - count - int(discs)
    body = Column(contrast, levels, tuple(range(first + 1 - int(low), first + count)), lumbar, discs)
    edge = -1.2 * PITCH if low else (levels + 1.2) * PITCH
    away = 1 if low else -1  # from the landmark to the middle of the column
    moves = [float(rng.uniform(0.0, 0.3)), float(rng.choice((0.0, 1.0, 2.0, shown / 3 / PITCH)))]
    if rng.random() < 0.5:
        moves.reverse()
    centres = [edge + away * (shown / 2 - move * PITCH) for move in moves]
    turns = rng.uniform(-MILD, MILD, 2)
    fields = [
        Field((0, -8, centre), (104, 112, shown), spacing, (float(turn), 0, 0))
        for centre, turn in zip(centres, turns, strict=True)
    ]
    return body, fields[0], fields[1]


SYNTHETIC: dict[str, tuple[Draw, int]] = {
    "column-ct": (column_ct, 40),
    "column-mr": (column_mr, 40),
    "discs-mr": (discs_mr, 24),
    "column-hard-scan": (column_hard_scan, 32),
    "column-blind": (column_blind, 32),
    "teeth": (teeth, 32),
    "ribs": (ribs, 24),
    "paired": (paired, 32),
    "hearts": (hearts, 40),
}
