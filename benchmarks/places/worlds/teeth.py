"""A lower jaw whose teeth look alike; its rami and chin tell which tooth is which. CT, in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.places.worlds.body import Landmark
from sample_data.canvas import Canvas, within
from sample_data.subject import Subject

TEETH = 14
WIDE, DEEP = 27.0, 44.0  # of the arch: half width at its ends, and depth
AIR, SOFT, FAT, BONE, ENAMEL, PULP = -1000, 55, -90, 650, 1700, 100


def on_arch(t: float) -> tuple[float, float]:
    """(x, y) of the arch at t, which runs from -1 (left end) over 0 (chin) to 1 (right end)."""
    return WIDE * np.sin(t * np.pi / 2) * (1 + 0.15 * abs(t)), DEEP * (np.cos(t * np.pi / 2) - 0.5)


@dataclass(frozen=True)
class Teeth:
    """The jaw of one case.

    Attributes:
        labelled: numbers of the labelled teeth, from 0 at the left end to 13 at the right end.
    """

    labelled: tuple[int, ...]
    contrast: str = "ct"
    names: dict[int, str] = field(init=False)
    landmarks: tuple[Landmark, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {n + 1: f"tooth_{n + 1}" for n in self.labelled})
        ends = Landmark("left ramus", (-33, -30, 12)), Landmark("right ramus", (33, -30, 12))
        object.__setattr__(self, "landmarks", ends)

    def paint(self, canvas: Canvas, subject: Subject) -> None:
        """Paints cheeks, tongue, jaw, teeth."""
        x, y, z = canvas.x, canvas.y, canvas.z
        canvas.image[:] = AIR
        canvas.paint((np.hypot(x / 62, (y + 14) / 54) - 1) * 54, FAT)
        canvas.paint((np.hypot(x / 58, (y + 14) / 50) - 1) * 50, SOFT)
        canvas.paint(within(canvas.ellipsoid((0, -6, 14), subject.size((20, 26, 8), 0.3)), 6 - z), AIR)
        path = [(*on_arch(t), -8.0) for t in np.linspace(-1.1, 1.1, 15)]
        jaw = canvas.tube(path, np.full(15, subject.about(7.5, 0.1)))
        for side in (-1, 1):
            end = (side * 32.0, -28.0, -8.0)
            jaw = np.minimum(jaw, canvas.tube([end, (side * 36.0, -36.0, 30.0)], (8, 6)))
        canvas.paint(jaw, BONE)
        canvas.paint(jaw + 3, 250)
        size = subject.about(1.0, 0.08)
        for number in range(TEETH):
            t = -1 + (number + 0.5) * 2 / TEETH
            centre = np.array((*on_arch(t), 2.0)) + subject.rng.uniform(-0.5, 0.5, 3)
            tooth = canvas.ellipsoid(centre, size * np.array((3.4, 3.4, 9.0)))
            value = number + 1 if number in self.labelled else 0
            canvas.paint(tooth, ENAMEL, value)
            canvas.paint(canvas.ellipsoid(centre - (0, 0, 3), (1.1, 1.1, 6)), PULP, value)
