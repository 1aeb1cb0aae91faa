"""The right half of a chest whose ribs look alike; shoulder and liver tell which rib is which. CT, in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.places.worlds.body import Landmark
from sample_data.canvas import Canvas, within
from sample_data.subject import Subject

PITCH = 25.0
AIR, LUNG, FAT, MUSCLE, LIVER, MARROW, CORTEX = -1000, -840, -95, 55, 105, 200, 520


@dataclass(frozen=True)
class Ribs:
    """The chest of one case.

    Attributes:
        levels: ribs from below upward.
        labelled: numbers of the labelled ribs, from 0 at the lower end.
    """

    levels: int
    labelled: tuple[int, ...]
    contrast: str = "ct"
    names: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {n + 1: f"rib_{n + 1}" for n in self.labelled})

    @property
    def landmarks(self) -> tuple[Landmark, ...]:
        """Liver below, shoulder above."""
        top = self.levels * PITCH
        return Landmark("liver", (70, 0, 30)), Landmark("shoulder", (95, 0, top - 10))

    def paint(self, canvas: Canvas, subject: Subject) -> None:
        """Paints chest wall, lung, liver, shoulder, ribs."""
        x, y, z = canvas.x, canvas.y, canvas.z
        wide, deep = subject.size((126, 96), 0.07)
        wall = (np.hypot(x / wide, y / deep) - 1) * 0.5 * (wide + deep)
        top = self.levels * PITCH
        canvas.image[:] = AIR
        canvas.paint(wall - subject.about(22, 0.25), FAT)
        canvas.paint(wall - 8, MUSCLE)
        apex = z - top + 0.004 * (x**2 + y**2)
        canvas.paint(within(wall + 8, 12 - x, -apex), LIVER)  # what lies in the middle
        canvas.paint(within(wall + 8, 14 - x, apex), LUNG)
        dome = 44 + 20 * np.exp(-((x - 60) ** 2 + y**2) / 50**2)
        canvas.paint(within(wall + 8, 12 - x, z - dome), LIVER)
        for _ in range(8):
            ends = subject.rng.uniform((22, -30, 70), (80, 30, top - 40), (2, 3))
            canvas.paint(within(canvas.tube(ends, (4, 3)), wall + 12), 40)
        shoulder = canvas.tube([(30, 40, top - 6), (120, -20, top + 4)], subject.size((8, 10), 0.1))
        canvas.paint(shoulder, CORTEX)
        canvas.paint(shoulder + 3, MARROW)
        slanted = (z + 0.30 * y + 0.1 * x) / PITCH
        number = np.floor(slanted).astype(int)
        across = np.abs(slanted - number - 0.5) * PITCH
        rib = within(np.hypot(np.maximum(across - 2.5, 0), wall) - subject.about(5.0, 0.1), 10 - x)
        rib = np.where((number >= 0) & (number < self.levels), rib, np.float32(99))
        canvas.paint(rib, CORTEX)
        canvas.paint(rib + 2.5, MARROW)
        values = np.where(np.isin(number, self.labelled), number + 1, 0)
        canvas.label[:] = np.where(rib < 0, values, 0)
