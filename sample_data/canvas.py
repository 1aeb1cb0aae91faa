"""A canvas in patient space: solid shapes are painted one over the other, with soft edges.

Coordinates are millimetres in RAS+: x grows to the patient's right, y to the front, z to the head.
A shape is a distance map: millimetres to its surface, negative inside, close to exact near the surface.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

Distance = np.ndarray  # (I, J, K) float, mm


@dataclass
class Canvas:
    """Image and label under construction.

    Attributes:
        points: (I, J, K, 3) float, patient coordinates of the voxel centres in mm; `x`, `y`, `z` singly.
        edge: Width of the soft edge in mm, the blur of the scanner.
        image: (I, J, K) float, intensity painted so far.
        label: (I, J, K) uint8, value painted last.
    """

    points: np.ndarray
    edge: float
    image: np.ndarray = field(init=False)
    label: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.points = np.asarray(self.points, np.float32)
        self.x, self.y, self.z = (np.ascontiguousarray(self.points[..., axis]) for axis in range(3))
        self.image = np.zeros(self.x.shape, np.float32)
        self.label = np.zeros(self.x.shape, np.uint8)

    def paint(self, shape: Distance, intensity: float | np.ndarray, label: int = 0) -> None:
        """Covers a shape with an intensity and a label; 0 wipes the label that was there."""
        cover = np.clip(0.5 - shape / self.edge, 0.0, 1.0)
        self.image += cover * (intensity - self.image)
        self.label[shape < 0] = label

    def ellipsoid(
        self, centre: ArrayLike, radii: ArrayLike, tilt: float = 0.0, lean: float = 0.0
    ) -> Distance:
        """Ellipsoid turned by `tilt` degrees about z, then by `lean` degrees about y."""
        unit, slope = np.zeros_like(self.x), np.zeros_like(self.x)
        for axis, radius in zip(_turn(tilt, lean).T, np.asarray(radii, np.float32), strict=True):
            part = self._along(axis, centre) / radius
            unit += part**2
            slope += (part / radius) ** 2
        unit = np.sqrt(unit)
        return unit * (unit - 1) / np.maximum(np.sqrt(slope), 1e-6)

    def tube(self, path: ArrayLike, radii: ArrayLike) -> Distance:
        """Tube along a path of points (P, 3) whose radius runs through `radii` (P,), with round ends."""
        path, radii = np.asarray(path, np.float32), np.asarray(radii, np.float32)
        nearest = np.full(self.x.shape, np.inf, np.float32)
        for start, end, r0, r1 in zip(path[:-1], path[1:], radii[:-1], radii[1:], strict=True):
            length = np.linalg.norm(end - start)
            direction = (end - start) / length
            along = np.clip(self._along(direction, start), 0, length)
            x, y, z = (start[i] + along * direction[i] for i in range(3))
            gap = np.sqrt((self.x - x) ** 2 + (self.y - y) ** 2 + (self.z - z) ** 2)
            nearest = np.minimum(nearest, gap - (r0 + along * ((r1 - r0) / length)))
        return nearest

    def _along(self, axis: ArrayLike, origin: ArrayLike) -> np.ndarray:
        """Coordinate of every point along a unit axis, counted from an origin."""
        ax, ay, az = np.asarray(axis, np.float32)
        ox, oy, oz = np.asarray(origin, np.float32)
        return ax * (self.x - ox) + ay * (self.y - oy) + az * (self.z - oz)


def union(*shapes: Distance) -> Distance:
    """Everything that lies in at least one of the shapes."""
    return np.minimum.reduce(shapes)


def within(*shapes: Distance) -> Distance:
    """What all the shapes have in common."""
    return np.maximum.reduce(shapes)


def without(shape: Distance, hole: Distance) -> Distance:
    """The shape less the hole."""
    return np.maximum(shape, -hole)


def _turn(tilt: float, lean: float) -> np.ndarray:
    a, b = np.deg2rad([tilt, lean])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return about_y @ about_z
