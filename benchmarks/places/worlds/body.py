"""What all bodies of the bench have: names of their structures, landmarks, and a way to be painted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sample_data.canvas import Canvas
from sample_data.subject import Subject


@dataclass(frozen=True)
class Landmark:
    """Something that a body has once, and that tells where its look-alikes belong.

    Attributes:
        name: in words.
        place: (x, y, z) in the average person, mm; a field of view that holds this point shows the landmark.
    """

    name: str
    place: tuple[float, float, float]


class Body(Protocol):
    """A kind of body, the same in reference and query; persons differ by their `Subject`.

    Attributes:
        contrast: "ct" (Hounsfield units) or "mr".
        names: label value -> name of a structure.
        landmarks: those that tell the place; without any, every field shows it.
    """

    contrast: str
    names: dict[int, str]
    landmarks: tuple[Landmark, ...]

    def paint(self, canvas: Canvas, subject: Subject) -> None:
        """Paints one person, outer layers first, with the labels."""
