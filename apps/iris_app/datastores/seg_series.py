"""SegSeries: a SEG of an archive and what it was drawn on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SegSeries:
    """A SEG series.

    Attributes:
        uid: of the series.
        study: UID of its study.
        image: UID of the series it was drawn on.
        when: date and time of its making.
    """

    uid: str
    study: str
    image: str
    when: str
