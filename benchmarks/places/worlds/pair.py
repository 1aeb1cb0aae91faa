"""Two organs that look alike, to either side of a spine; the liver lies on the right. CT or MR, in mm."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.places.worlds.body import Landmark
from benchmarks.places.worlds.column import TISSUES
from sample_data.canvas import Canvas, union, within, without
from sample_data.subject import Subject


@dataclass(frozen=True)
class Pair:
    """The trunk of one case; both organs are the same, mirrored."""

    contrast: str = "ct"
    names: dict[int, str] = field(default_factory=lambda: {1: "organ_right", 2: "organ_left"})
    landmarks: tuple[Landmark, ...] = (Landmark("spine", (0, -42, 0)),)

    def paint(self, canvas: Canvas, subject: Subject) -> None:
        """Paints trunk, spine, liver, bowel, both organs."""
        tissue, x, y, z = TISSUES[self.contrast], canvas.x, canvas.y, canvas.z
        wide, deep = subject.size((140, 100), 0.08)
        skin = (np.hypot(x / wide, y / deep) - 1) * deep
        canvas.image[:] = tissue.air
        canvas.paint(skin, tissue.fat)
        canvas.paint(skin + 14, tissue.muscle)
        canvas.paint(skin + 26, tissue.fat)
        along = np.abs(z / 32 - np.floor(z / 32) - 0.5)
        bone = within(np.hypot(x / 22, (y + 45) / 17) * 17 - 17, (along - 0.36) * 32)
        canvas.paint(np.hypot(x / 22, (y + 45) / 17) * 17 - 17, tissue.disc)
        canvas.paint(bone, tissue.cortex)
        canvas.paint(bone + 2.5, tissue.marrow)
        canvas.paint(np.hypot(x, y + 72) - 8, tissue.fluid)
        for side in (-1, 1):
            canvas.paint(canvas.tube([(side * 30, -48, -120), (side * 26, -48, 60)], (17, 10)), tissue.muscle)
        liver = canvas.ellipsoid(subject.place((72, 22, 66)), subject.size((58, 56, 46), 0.1))
        canvas.paint(within(liver, skin + 24), tissue.brain + 0.3 * (tissue.marrow - tissue.brain))
        for _ in range(14):
            place = subject.rng.uniform((-90, 15, -90), (90, 70, 20))
            loop = canvas.ellipsoid(place, subject.rng.uniform(11, 20, 3), subject.rng.uniform(0, 180), 20)
            canvas.paint(within(loop, skin + 26), subject.about(tissue.disc, 0.4))
        radii = subject.size((23, 19, 44), 0.12)
        lift = subject.rng.uniform(-10, 10)
        for value, side in ((1, 1), (2, -1)):
            centre = subject.place((side * 66, -28, side * lift), 5)
            organ = canvas.ellipsoid(centre, radii, side * 25, side * -8)
            notch = canvas.ellipsoid(centre - (side * 20, -6, 0), (12, 8, 14))
            canvas.paint(without(organ, notch), tissue.disc + 0.4 * (tissue.marrow - tissue.disc), value)
            inner = canvas.ellipsoid(centre, radii * 0.45, side * 25)
            canvas.paint(without(inner, notch), tissue.fluid, value)
        canvas.paint(union(*(np.hypot(x - s * 12, y + 18) - 9 for s in (-1, 1))), tissue.disc)
