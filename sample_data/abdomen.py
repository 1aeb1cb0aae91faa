"""A CT-like trunk from the diaphragm to the pelvis. Intensities are Hounsfield units.

Everything is placed by hand in an average adult, in mm from the middle of the second lumbar vertebra.
"""

from __future__ import annotations

import numpy as np

from sample_data.canvas import Canvas, Distance, union, within, without
from sample_data.scan import Scan, grain
from sample_data.subject import Subject

NAME = "Dataset001_PhantomCT"
CHANNEL = "CT"
EXTENT = (320.0, 232.0, 270.0)  # field of view in mm
LABELS = {"liver": 1, "spleen": 2, "kidney_right": 3, "kidney_left": 4, "aorta": 5, "spine": 6, "bladder": 7}
SCANS = (
    Scan("RAS", (4.0, 4.0, 4.0)),
    Scan("LPS", (3.6, 3.6, 5.0)),
    Scan("RAS", (4.2, 4.2, 4.2), tilt=(14.0, 0.0, 6.0)),
    Scan("SRA", (4.0, 4.4, 3.6)),
    Scan("LAI", (3.8, 3.8, 6.0), tilt=(0.0, -9.0, 5.0)),
    Scan("PIL", (4.4, 3.8, 4.4)),
)
AIR, LUNG, FAT, WATER, GUT, MUSCLE, BONE = -1000, -830, -95, 8, 35, 55, 420


def draw(canvas: Canvas, subject: Subject) -> None:
    """Paints one trunk, outer layers first."""
    canvas.image[:] = AIR
    wall = _trunk(canvas, subject)
    _bowel(canvas, subject, wall)
    _vessels(canvas, subject)
    _spine(canvas, subject)
    _upper_organs(canvas, subject, wall)
    _kidneys(canvas, subject)
    _pelvis(canvas, subject)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grainy noise, a fine texture and a slight cupping, rounded to whole Hounsfield units."""
    noisy = image + rng.uniform(8, 18) * grain(rng, image.shape, 0.5) + 6 * grain(rng, image.shape, 2.0)
    middle = np.hypot(*np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape[:2]), indexing="ij"))
    noisy += rng.uniform(0, 12) * (middle[..., None] - 0.5) * (image > -200)
    return np.clip(np.rint(noisy), -1024, 2000).astype(np.int16)


def _trunk(canvas: Canvas, subject: Subject) -> Distance:
    """Skin, fat, muscle, ribs and the fatty cavity; returns the cavity's surface."""
    x, y, z = canvas.x, canvas.y, canvas.z
    waist = 1 - 0.06 * np.exp(-((z + 40) ** 2) / 50**2)
    around = (np.abs(x / (142 * waist)) ** 2.4 + np.abs((y + 4) / (100 * waist)) ** 2.4) ** (1 / 2.4)
    skin = (around - 1) * 112
    fat = subject.about(16, 0.5) * (1 - 0.35 * np.clip(y / 100, -1, 1))
    canvas.paint(skin, MUSCLE)
    canvas.paint(skin + 3, FAT)
    canvas.paint(skin + fat, MUSCLE)
    ribs = within(np.abs(skin + fat + 7) - 4, 5 - 9 * np.cos((z - 0.35 * np.abs(x) + 0.25 * y) / 4.0), 25 - z)
    canvas.paint(ribs, BONE)
    cavity = skin + fat + 14
    canvas.paint(within(cavity, -70 - y), FAT)
    return cavity


def _bowel(canvas: Canvas, subject: Subject, wall: Distance) -> None:
    """Loops of gut with gas on top, a stomach and a colon: seen in every scan, labelled in none."""
    for _ in range(34):
        centre = subject.rng.uniform((-95, -5, -95), (95, 62, 15))
        loop = canvas.ellipsoid(centre, subject.rng.uniform(11, 22, 3), subject.rng.uniform(0, 180), 30)
        canvas.paint(within(loop, wall + 4), subject.about(GUT, 0.4))
        if subject.rng.random() < 0.35:
            canvas.paint(canvas.ellipsoid(centre + (0, 7, 0), (7, 5, 8)), -700)
    for side in (-1, 1):
        colon = [(side * 98, 5, 10), (side * 104, 0, -30), (side * 98, 8, -75)]
        canvas.paint(within(canvas.tube(colon, subject.size((17, 15, 14))), wall + 3), subject.about(20, 0.5))
        canvas.paint(canvas.tube([c + np.array((0, 5, 0)) for c in np.array(colon)], (7, 5, 3)), -500)
    stomach = canvas.ellipsoid(subject.place((-58, 28, 62)), subject.size((40, 33, 36), 0.2), 25, -20)
    canvas.paint(within(stomach, wall + 3), subject.about(25, 0.3))
    canvas.paint(within(stomach + 6, 44 - canvas.y), -850)


def _vessels(canvas: Canvas, subject: Subject) -> None:
    """Aorta, left of the middle, and the caval vein on the other side."""
    contrast = subject.rng.uniform(130, 260)
    bend = subject.rng.uniform(-5, 5)
    vein = [(20, -20, 130), (18, -22, 20), (14, -26, -60), (34, -20, -120)]
    canvas.paint(canvas.tube(vein, subject.size((11, 11, 10, 8))), contrast * 0.65)
    arch = [(-14, -28, 140), (-12 + bend, -24, 60), (-9 + bend, -17, 0), (-6, -22, -62)]
    aorta = canvas.tube(arch, subject.size((12.5, 11.5, 10, 9)))
    for side in (-1, 1):
        canvas.paint(canvas.tube([(-6, -22, -60), (side * 36, -24, -125)], (7, 6)), contrast)
    canvas.paint(aorta, contrast, LABELS["aorta"])


def _spine(canvas: Canvas, subject: Subject) -> None:
    """Vertebral bodies and discs, arches and processes, round a canal."""
    z = canvas.z
    heights = np.linspace(-130, 150, 12)
    lordosis = -56 + 7 * np.cos(heights / 55) - 10 * np.exp(-(((heights + 130) / 45) ** 2))
    column = np.stack([np.zeros(12), lordosis, heights], axis=1)
    pitch = subject.about(33, 0.08)
    level = np.cos(2 * np.pi * (z - subject.rng.uniform(0, pitch)) / pitch)
    body = canvas.tube(column, np.full(12, subject.about(20, 0.1)))
    arch = canvas.tube(column - (0, 29, 0), np.full(12, 13.0))
    process = within(canvas.tube(column - (0, 43, 0), np.full(12, 9.0)), 9 - 16 * level)
    wings = union(*(canvas.tube(column + (side * 25, -24, 0), np.full(12, 8.0)) for side in (-1, 1)))
    whole = union(body, arch, process, within(wings, 5 - 12 * level))
    canvas.paint(whole, np.where(level > -0.82, subject.about(230, 0.15), 85), LABELS["spine"])
    canvas.paint(within(np.abs(whole + 2) - 2, -0.8 - level), subject.about(BONE, 0.15), LABELS["spine"])
    canvas.paint(canvas.tube(column - (0, 27, 0), np.full(12, 8.0)), 30)


def _upper_organs(canvas: Canvas, subject: Subject, wall: Distance) -> None:
    """Lungs above a domed diaphragm, then liver and spleen under it."""
    x, y, z = canvas.x, canvas.y, canvas.z
    dome = 74 + 26 * np.exp(-((x - 62) ** 2 + (y - 5) ** 2) / 55**2)
    dome = dome + 16 * np.exp(-((x + 70) ** 2 + y**2) / 50**2)
    spine_gap = 30 - np.hypot(x, y + 50)
    canvas.paint(within(wall + 3, dome + 6 - z, spine_gap), LUNG)
    right = canvas.ellipsoid(subject.place((68, 2, 44), 5), subject.size((62, 72, 60)), 10, 12)
    left = canvas.ellipsoid(subject.place((2, 40, 62), 6), subject.size((56, 30, 28), 0.18), -8, 8)
    face = (z - 22 + 0.55 * (90 - x)) * -0.85 - 12  # the lower face rises towards the middle
    liver = within(union(right, left), face, wall + 2, z - dome)
    canvas.paint(liver, subject.about(108, 0.12), LABELS["liver"])
    canvas.paint(canvas.ellipsoid(subject.place((48, 38, 12)), subject.size((13, 16, 20), 0.2), 0, 15), WATER)
    centre = subject.place((-86, -30, 46), 6)
    bean = canvas.ellipsoid(centre, subject.size((27, 40, 46), 0.12), 24, -14)
    hollow = canvas.ellipsoid(centre + (38, 20, -4), (25, 28, 38))
    canvas.paint(within(without(bean, hollow), wall + 2, z - dome), subject.about(122, 0.1), LABELS["spleen"])


def _kidneys(canvas: Canvas, subject: Subject) -> None:
    """Two beans beside the spine, the left one higher, upper poles leaning inwards."""
    cortex = subject.rng.uniform(135, 200)
    for name, side, height in (("kidney_right", 1, -20), ("kidney_left", -1, -6)):
        centre = subject.place((side * 62, -46, height), 5)
        radii = subject.size((25, 23, 50))
        bean = canvas.ellipsoid(centre, radii, side * 20, side * 10)
        sinus = canvas.ellipsoid(centre - (side * 24, -9, 0), (17, 12, 17))
        canvas.paint(without(bean, sinus), cortex, LABELS[name])
        inner = without(canvas.ellipsoid(centre, radii * (0.55, 0.5, 0.68), side * 20, side * 10), sinus)
        canvas.paint(inner, cortex * 0.72, LABELS[name])


def _pelvis(canvas: Canvas, subject: Subject) -> None:
    """Iliac wings and a bladder that may be full or nearly empty."""
    z = canvas.z
    for side in (-1, 1):
        bowl = canvas.ellipsoid((side * 58, -8, -118), (62, 66, 62), side * 15, 0)
        wing = within(np.abs(bowl) - 5, 18 - side * canvas.x + 34, z + 62)
        canvas.paint(wing, BONE)
    fill = subject.rng.uniform(0.75, 1.25)
    bladder = canvas.ellipsoid(subject.place((0, 22, -104), 5), np.array((34, 27, 24)) * fill)
    canvas.paint(bladder - 4, MUSCLE)
    canvas.paint(bladder, WATER, LABELS["bladder"])
