"""A heart in a chest, with a vessel and a stomach that look like its chambers. MR, in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.places.worlds.body import Landmark
from sample_data.canvas import Canvas, union, within, without
from sample_data.subject import Subject

AIR, LUNG, FAT, MUSCLE, WALL, BLOOD, LIVER, BONE = 0.03, 0.06, 1.0, 0.4, 0.35, 0.95, 0.45, 0.2


@dataclass(frozen=True)
class Heart:
    """The chest of one case."""

    contrast: str = "mr"
    names: dict[int, str] = field(
        default_factory=lambda: {1: "left_ventricle", 2: "myocardium", 3: "right_ventricle"}
    )
    landmarks: tuple[Landmark, ...] = ()

    def paint(self, canvas: Canvas, subject: Subject) -> None:
        """Paints chest, lungs, liver, spine, vessels, chambers."""
        x, y, z = canvas.x, canvas.y, canvas.z
        wide, deep = subject.size((150, 108), 0.08)
        skin = (np.hypot(x / wide, y / deep) - 1) * deep
        canvas.image[:] = AIR
        canvas.paint(skin, FAT)
        canvas.paint(skin + subject.about(12, 0.5), MUSCLE)
        middle = np.abs(x + 8) - 34
        canvas.paint(within(skin + 26, -middle), LUNG)
        canvas.paint(within(skin + 26, middle), FAT * 0.8)
        dome = -28 + 14 * np.exp(-((x - 50) ** 2 + y**2) / 60**2)
        canvas.paint(within(skin + 24, z - dome), LIVER)
        stomach = canvas.ellipsoid((-62, 12, -44), subject.size((34, 30, 26), 0.2))
        canvas.paint(within(stomach, skin + 26), BLOOD * 0.9)
        canvas.paint(np.hypot(x / 19, (y + 62) / 17) * 17 - 17, BONE)
        canvas.paint(np.hypot(x, y + 84) - 7, MUSCLE)
        canvas.paint(np.hypot(x + 20, y + 40) - subject.about(11, 0.1), BLOOD)  # the descending aorta
        centre = subject.place((-34, 22, 0), 8)
        tilt = subject.rng.uniform(20, 45)
        wall = subject.about(10.5, 0.15)
        radii = subject.size((23, 23, 44), 0.14)
        outer = canvas.ellipsoid(centre, radii + wall, tilt, -20)
        right = canvas.ellipsoid(centre + (27, 14, 4), subject.size((30, 26, 40), 0.12), tilt, -20)
        fat = union(outer, right)
        canvas.paint(fat - 3, FAT)
        base = z - centre[2] - 34  # the chambers end below the valves
        canvas.paint(within(union(outer, right), base), WALL)
        canvas.paint(without(within(right + 3, base), outer), BLOOD * 0.95, 3)
        canvas.paint(within(outer, base), WALL, 2)
        inner = within(canvas.ellipsoid(centre, radii, tilt, -20), base)
        canvas.paint(inner, BLOOD, 1)
        for side in (-1, 1):
            muscle = canvas.tube([centre + (side * 9, -5, -26), centre + (side * 7, -3, 2)], (4, 3))
            canvas.paint(within(muscle, inner + 2), WALL, 1)
