"""An MR-like head, T1-weighted. Intensities are relative: 1 is white matter.

Everything is placed by hand in an average adult, in mm from the middle between the two thalami.
"""

from __future__ import annotations

import numpy as np

from sample_data.canvas import Canvas, Distance, union, within, without
from sample_data.scan import Scan, grain
from sample_data.subject import Subject

NAME = "Dataset002_PhantomMR"
CHANNEL = "T1"
EXTENT = (164.0, 196.0, 172.0)  # field of view in mm
LABELS = {
    "ventricle_right": 1,
    "ventricle_left": 2,
    "thalamus_right": 3,
    "thalamus_left": 4,
    "brainstem": 5,
    "cerebellum": 6,
}
SCANS = (
    Scan("RAS", (2.2, 2.2, 2.2)),
    Scan("LIA", (2.2, 2.6, 2.0)),
    Scan("RAS", (2.0, 2.0, 3.4), tilt=(16.0, 0.0, 0.0)),
    Scan("PSR", (2.6, 2.2, 2.2)),
    Scan("LPS", (2.4, 2.4, 2.4), tilt=(-8.0, 6.0, 11.0)),
    Scan("ASL", (3.0, 2.0, 2.2)),
)
AIR, FLUID, BONE, MUSCLE, GREY, WHITE, FAT = 0.03, 0.22, 0.10, 0.52, 0.68, 1.0, 1.25


def draw(canvas: Canvas, subject: Subject) -> None:
    """Paints one head, outer layers first."""
    canvas.image[:] = AIR
    inside = _skull(canvas, subject)
    _hemispheres(canvas, subject, inside)
    _deep_grey(canvas, subject)
    _ventricles(canvas, subject)
    _hindbrain(canvas, subject, inside)


def degrade(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another contrast, a smooth bias field and Rician noise, on a scale of its own, rounded."""
    image = np.maximum(image, 0) ** rng.uniform(0.8, 1.25)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    slope, bowl = rng.uniform(-0.18, 0.18, 3), rng.uniform(-0.15, 0.15, 3)
    bias = 1 + sum(s * a + b * (a**2 - 1 / 3) for s, b, a in zip(slope, bowl, axes, strict=True))
    sigma = rng.uniform(0.025, 0.05)
    real = image * bias * (1 + 0.02 * grain(rng, image.shape, 1.5)) + sigma * grain(rng, image.shape, 0.4)
    noisy = np.hypot(real, sigma * grain(rng, image.shape, 0.4))
    return np.rint(noisy * rng.uniform(250, 900)).astype(np.int16)


def _skull(canvas: Canvas, subject: Subject) -> Distance:
    """Neck, scalp, bone, nose and eyes; returns the surface of the room inside, full of fluid."""
    canvas.paint(canvas.tube([(0, -22, -40), (0, -26, -120)], (52, 50)), FAT)
    canvas.paint(canvas.tube([(0, -22, -40), (0, -26, -120)], (47, 45)), MUSCLE)
    face = canvas.ellipsoid((0, 34, -52), subject.size((52, 54, 50), 0.06))
    canvas.paint(union(face, canvas.ellipsoid((0, 92, -46), (11, 12, 17))), FAT)
    canvas.paint(face + 6, MUSCLE)
    canvas.paint(canvas.ellipsoid((0, 62, -52), (13, 26, 18)), AIR)
    skull = canvas.ellipsoid((0, -8, 8), subject.size((74, 92, 76), 0.03))
    canvas.paint(skull, FAT)
    canvas.paint(skull + 6, BONE)
    canvas.paint(skull + 12, FLUID)
    for side in (-1, 1):
        canvas.paint(canvas.ellipsoid((side * 31, 74, -24), (14, 14, 13)), FAT)
        canvas.paint(canvas.ellipsoid((side * 31, 78, -24), (11.5, 11.5, 11.5)), FLUID)
    return skull + 12


def _hemispheres(canvas: Canvas, subject: Subject, inside: Distance) -> None:
    """Two folded sheets of grey matter round white matter, a fissure between them."""
    x, y, z = canvas.x, canvas.y, canvas.z
    phase = subject.rng.uniform(0, 2 * np.pi, 6)
    folds = np.sin(y / 2.6 + 1.5 * np.sin(z / 8 + phase[0]) + phase[1])
    folds = folds + np.sin(z / 2.8 + 1.5 * np.sin(x / 7 + phase[2]) + phase[3])
    folds = folds + 0.8 * np.sin(np.abs(x) / 2.5 + 1.5 * np.sin(y / 9 + phase[4]) + phase[5])
    outer = canvas.ellipsoid((0, -8, 13), subject.size((60, 78, 55), 0.03))
    lobes = [canvas.ellipsoid((s * 42, 4, -22), subject.size((18, 36, 19), 0.08), s * 8) for s in (-1, 1)]
    cortex = within(union(outer, *lobes), inside + 2)
    fissure = within(np.abs(x) - 1.6, 16 - z)
    canvas.paint(without(cortex + np.maximum(4 * folds - 3, 0), fissure), GREY)
    canvas.paint(without(cortex + 7 + 3.5 * folds, fissure - 3.5), WHITE)
    for side in (-1, 1):
        sylvian = canvas.tube([(side * 62, 12, -6), (side * 40, 12, -4), (side * 38, -16, 4)], (3.5, 2.5, 2))
        canvas.paint(within(sylvian - 4, inside + 4), GREY)
        canvas.paint(within(sylvian, inside), FLUID)


def _deep_grey(canvas: Canvas, subject: Subject) -> None:
    """Thalamus, caudate and lentiform nucleus on both sides; only the thalamus is labelled."""
    for name, side in (("thalamus_right", 1), ("thalamus_left", -1)):
        place = subject.place((side * 26, 6, -2), 2)
        lentiform = canvas.ellipsoid(place, subject.size((8, 17, 11)), side * 14)
        canvas.paint(lentiform, subject.about(0.78, 0.05))
        path = [(side * 13, 24, 2), (side * 17, 6, 22), (side * 20, -14, 22)]
        canvas.paint(canvas.tube(path, subject.size((7, 5, 3))), subject.about(0.7, 0.05))
        place = subject.place((side * 13, -8, 2), 1.5)
        thalamus = canvas.ellipsoid(place, subject.size((10, 17, 11)), side * 24)
        canvas.paint(thalamus, subject.about(0.78, 0.04), LABELS[name])


def _ventricles(canvas: Canvas, subject: Subject) -> None:
    """A horn-shaped ventricle in each half, as wide as this person's age, and the slit between them."""
    age = subject.rng.uniform(0.75, 1.35)
    canvas.paint(canvas.ellipsoid((0, -6, -2), (2.2, 14, 10)), FLUID)
    for name, side in (("ventricle_right", 1), ("ventricle_left", -1)):
        width = age * subject.about(1.0, 0.12)
        front = [(7, 34, 8), (8, 20, 17), (10, -2, 22), (15, -26, 20)]
        back = [(23, -38, 10), (30, -30, -8), (33, -10, -18)]
        path = subject.place((0, 0, 0), 1.5) + np.array(front + back) * (side, 1, 1)
        horn = canvas.tube(path, np.array((4, 6.5, 6, 6, 7.5, 4.5, 3)) * width)
        tail = canvas.tube([path[4], path[4] + (side * -2, -22, 0)], (5.5 * width, 2.5))
        own_half = 1.2 - side * canvas.x
        canvas.paint(within(union(horn, tail), own_half), FLUID, LABELS[name])


def _hindbrain(canvas: Canvas, subject: Subject, inside: Distance) -> None:
    """Cerebellum with its fine leaves, and the stem in front of it."""
    y, z = canvas.y, canvas.z
    centre = subject.place((0, -48, -32), 2)
    lobes = [canvas.ellipsoid(centre + (0, 2, 4), (14, 20, 18))]
    for side in (-1, 1):
        radii = subject.size((27, 25, 20), 0.08)
        lobes.append(canvas.ellipsoid(centre + (side * 20, 0, 0), radii, side * -12))
    cerebellum = within(union(*lobes), inside + 3)
    leaves = np.sin(np.hypot(y - centre[1] - 20, 1.3 * (z - centre[2])) / 1.9)
    canvas.paint(within(cerebellum - 3, inside), FLUID)
    canvas.paint(cerebellum, subject.about(0.72, 0.04) + 0.08 * leaves, LABELS["cerebellum"])
    for side in (-1, 1):
        canvas.paint(canvas.ellipsoid(centre + (side * 20, 4, 2), (15, 11, 7)), 0.95, LABELS["cerebellum"])
    path = subject.place((0, -18, -14), 1.5) + np.array([(0, 0, 0), (0, 2, -22), (0, -8, -46), (0, -12, -90)])
    stem = canvas.tube(path, subject.size((11, 14, 8.5, 7.5), 0.06))
    canvas.paint(stem - 2.5, FLUID)
    above_neck = path[2, 2] - 8 - z
    canvas.paint(stem, subject.about(0.92, 0.03))
    canvas.paint(within(stem, above_neck), subject.about(0.92, 0.03), LABELS["brainstem"])
    canvas.paint(canvas.ellipsoid(path[1] + (0, -19, -4), (6, 5, 9)), FLUID)
