"""A spinal column of look-alike vertebrae between the sacrum and the ribs, or between the ribs and the skull.

x grows to the right, y to the front, z to the head, in mm; z = 0 is the lower end of the first look-alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from benchmarks.places.worlds.body import Landmark
from sample_data.canvas import Canvas, Distance, union, within
from sample_data.subject import Subject

PITCH = 31.0  # mm from level to level
BODY = 0.36  # half height of a vertebral body, in pitches


class Tissues(NamedTuple):
    """Intensities."""

    air: float
    fat: float
    muscle: float
    marrow: float
    cortex: float
    disc: float
    fluid: float
    brain: float


TISSUES = {
    "ct": Tissues(-1000, -95, 55, 210, 480, 85, 15, 35),
    "mr": Tissues(0.03, 1.2, 0.45, 0.85, 0.15, 0.4, 0.2, 0.75),
}


@dataclass(frozen=True)
class Column:
    """The column of one case.

    Attributes:
        contrast: "ct" or "mr".
        levels: look-alikes between the landmarks, counted from below.
        labelled: numbers of the labelled levels, from 0; of discs: of the level below each disc.
        lumbar: from the sacrum to the ribs; else from the ribs to the skull.
        discs: the discs are labelled, not the vertebrae.
    """

    contrast: str
    levels: int
    labelled: tuple[int, ...]
    lumbar: bool = True
    discs: bool = False
    names: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        what = "disc" if self.discs else "vertebra"
        names = {number + 1: f"{what}_{number + 1}" for number in self.labelled}
        object.__setattr__(self, "names", names)

    @property
    def landmarks(self) -> tuple[Landmark, ...]:
        """What lies below and above the look-alikes."""
        top = self.levels * PITCH
        if self.lumbar:
            return Landmark("sacrum", (0, 0, -14)), Landmark("ribs", (0, 0, top + 0.5 * PITCH))
        return Landmark("ribs", (0, 0, -0.5 * PITCH)), Landmark("skull", (0, 0, top + 12))

    def paint(self, canvas: Canvas, subject: Subject) -> None:
        """Paints trunk or neck, landmarks, column."""
        tissue, rng = TISSUES[self.contrast], subject.rng
        x, y, z = canvas.x, canvas.y, canvas.z
        bend, phase = rng.uniform(4, 12), rng.uniform(0, 2 * np.pi)
        u = x - rng.uniform(-5, 5) * np.sin(z / 110 + phase)
        v = y - bend * np.sin(z / 70 + phase)
        pitch = subject.about(PITCH, 0.02)
        number = np.floor(z / pitch).astype(int)
        along = np.abs(z / pitch - number - 0.5)  # 0 in the middle of a level, 0.5 between two
        self._soft_parts(canvas, subject, tissue)
        self._landmarks(canvas, subject, tissue, u, v, number, along)
        self._vertebrae(canvas, subject, tissue, u, v, number, along, pitch)

    def _soft_parts(self, canvas: Canvas, subject: Subject, tissue: Tissues) -> None:
        x, y = canvas.x, canvas.y
        wide, deep = subject.size((118, 92) if self.lumbar else (68, 62), 0.08)
        skin = (np.hypot(x / wide, (y + 2) / deep) - 1) * deep
        canvas.image[:] = tissue.air
        canvas.paint(skin, tissue.fat)
        canvas.paint(skin + subject.about(10, 0.4), tissue.muscle)
        for side in (-1, 1):  # muscles beside the spine, with fat between
            groove = canvas.tube([(side * 33, -42, -200), (side * 33, -42, 500)], (21, 21))
            canvas.paint(np.abs(groove) - 1.5, tissue.fat)
        for _ in range(12):  # what lies before the spine differs from person to person
            place = subject.rng.uniform((-50, 32, -80), (50, 75, (self.levels + 2) * PITCH))
            blob = canvas.ellipsoid(place, subject.rng.uniform(8, 20, 3), subject.rng.uniform(0, 180), 20)
            canvas.paint(blob, subject.rng.choice((tissue.fluid, tissue.fat, tissue.disc, tissue.brain)))

    def _landmarks(
        self, canvas: Canvas, subject: Subject, tissue: Tissues,
        u: np.ndarray, v: np.ndarray, number: np.ndarray, along: np.ndarray,
    ) -> None:  # fmt: skip
        ribbed = number >= self.levels if self.lumbar else number < 0
        away = np.hypot(u, v + 14)
        curve = np.hypot(u / 78, (v - 22) / 62)
        rib = within(np.abs(curve - 1) * 66 - 5, 4 - away, (along - 0.17) * PITCH)
        root = within(np.abs(v + 16) - 6, np.abs(u) - 62, 16 - np.abs(u), (along - 0.17) * PITCH)
        ribs = np.where(ribbed, union(rib, root), np.float32(99))
        canvas.paint(ribs, tissue.marrow)
        canvas.paint(np.abs(ribs + 1.5) - 1.5, tissue.cortex)
        if self.lumbar:
            wings = union(*(canvas.ellipsoid((s * 60, -12, -34), (17, 34, 42), s * 25, 0) for s in (-1, 1)))
            self._bone(canvas, tissue, wings)
            return
        top = self.levels * PITCH
        skull = canvas.ellipsoid((0, 12, top + 62), subject.size((66, 82, 58), 0.05))
        self._bone(canvas, tissue, skull)
        canvas.paint(skull + 7, tissue.brain)
        canvas.paint(canvas.tube([(0, -24, top - 20), (0, -16, top + 24)], (9, 12)), tissue.fluid)

    def _vertebrae(
        self, canvas: Canvas, subject: Subject, tissue: Tissues,
        u: np.ndarray, v: np.ndarray, number: np.ndarray, along: np.ndarray, pitch: float,
    ) -> None:  # fmt: skip
        wide, deep = subject.about(22, 0.08), subject.about(16, 0.08)
        below = -0.2 * pitch if self.lumbar else -np.inf  # sacrum, or ribbed vertebrae without an end
        above = np.inf if self.lumbar else self.levels * pitch
        inside = within(below - canvas.z, canvas.z - above)
        round_ = (np.hypot(u / wide, v / deep) - 1) * deep
        disc = within(round_, (BODY - along) * pitch, inside)
        body = within(round_, (along - BODY) * pitch, inside)
        arch = within(np.abs(np.hypot(u, v + 27) - 12) - 3.5, (along - 0.28) * pitch, inside)
        process = within(np.abs(u) - 4, np.abs(v + 48) - 12, (along - 0.24) * pitch, inside)
        wings = within(np.abs(v + 20) - 4.5, np.abs(u) - 38, (along - 0.14) * pitch, inside)
        canvas.paint(disc, tissue.disc)
        whole = union(body, arch, process, wings)
        self._bone(canvas, tissue, whole)
        canvas.paint(within(np.hypot(u, v + 27) - 8, below - canvas.z), tissue.fluid)
        if self.lumbar:
            self._bone(canvas, tissue, canvas.ellipsoid((0, -10, -34), (40, 21, 32), 0, 0))
        shape, level = (disc, np.floor(canvas.z / pitch - 0.5).astype(int)) if self.discs else (whole, number)
        values = np.where(np.isin(level, self.labelled), level + 1, 0)
        canvas.label[:] = np.where(shape < 0, values, 0)

    @staticmethod
    def _bone(canvas: Canvas, tissue: Tissues, shape: Distance) -> None:
        canvas.paint(shape, tissue.cortex)
        canvas.paint(shape + 2.5, tissue.marrow)
