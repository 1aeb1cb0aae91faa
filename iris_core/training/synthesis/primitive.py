"""A primitive: one bent superellipsoid, the brick of every synthetic object.

Bodies, tubes, sheets, discs and paired organs are all the same formula with other numbers, so a whole batch
of them is evaluated at once. Coordinates are voxels from the centre of the anatomy, axis 0 left to right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch

WIDTH = 23  # numbers in a packed row
FAR = 9.0  # a cut that never cuts


@dataclass(frozen=True)
class Primitive:
    """One object of an anatomy."""

    label: int  # label value; parts behind a cut get `label + 1` and `label + 2`
    centre: np.ndarray  # (3,) voxels from the centre of the anatomy
    radii: np.ndarray  # (3,) half axes in voxels
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))  # (3, 3) anatomy axes -> own axes
    boxy: float = 0.0  # 0 is an ellipsoid, 1 a rounded box
    # (3,) sag at the tips, in voxels: axis 1 along 0, axis 2 along 0, axis 2 along 1
    bend: tuple[float, float, float] = (0.0, 0.0, 0.0)
    swing: float = 0.0  # S-bend of axis 1 along axis 0, in voxels
    taper: float = 0.0  # change of thickness along axis 0, -0.8 to 0.8
    # (2,) places of the cuts along axis 0, in half lengths; `FAR` for none
    cuts: tuple[float, float] = (FAR, FAR)
    cut_curve: float = 0.0  # curvature of the cuts
    side: int = 1  # 1, or -1 for the mirror image in the plane axis 0 = 0
    jitter: float = 1.0  # how freely the object moves between two people, 0 to 1
    roam: float = 0.0  # radius in voxels within which each image draws the object anew (lesions); 0 keeps it

    @property
    def place(self) -> np.ndarray:
        """(3,) where the centre lies in the anatomy, on the side that the object is on."""
        return np.asarray(self.centre) * np.array([self.side, 1, 1])

    @property
    def parts(self) -> range:
        """The labels of its parts."""
        return range(self.label, self.label + 1 + sum(cut < FAR for cut in self.cuts))

    @property
    def reach(self) -> float:
        """Radius in voxels of a ball around the centre that holds the object."""
        wide = np.asarray(self.radii, float).copy()
        wide[1:] *= 1 + abs(self.taper)
        wide[1] += abs(self.bend[0]) + abs(self.swing)
        wide[2] += abs(self.bend[1]) + abs(self.bend[2])
        return float(np.sqrt((wide**2).sum())) if self.boxy > 0.2 or any(self.bend) else float(wide.max())

    def packed(self) -> np.ndarray:
        """The object as one row of `WIDTH` numbers (the label is kept apart)."""
        row = np.empty(WIDTH, np.float32)
        row[0:3], row[3:6], row[6:15] = self.centre, self.radii, np.asarray(self.rotation).ravel()
        row[15], row[16:19], row[19] = self.boxy, self.bend, self.swing
        row[20], row[21], row[22] = self.taper, self.side, self.cut_curve
        return row

    def moved(self, rng: np.random.Generator, length: float, strength: float) -> Primitive:
        """The same object in another person, of another size and at another place.

        The window has a side of `length` voxels; strength 0 changes nothing, 1 is the full variation.
        """
        amount = strength * self.jitter
        centre, radii = np.asarray(self.centre, float), np.asarray(self.radii, float)
        if self.roam > 0 and strength > 0:
            shift = rng.normal(size=3)
            centre = centre + shift / np.linalg.norm(shift) * self.roam * rng.random() ** (1 / 3)
        if amount > 0:
            common = np.exp(rng.uniform(-0.2, 0.2) * amount)
            radii = radii * common * np.exp(rng.normal(0, 0.04, 3) * amount)
            room = min(0.06 * length, 0.35 * float(radii.max()) + 1.0)
            centre = centre + rng.uniform(-1, 1, 3) * room * amount
        return replace(self, centre=centre, radii=radii)


def own_coordinates(
    rows: torch.Tensor, points: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points in the straightened axes of their object, in half axes: three (N, P).

    Args:
        rows: (N, WIDTH) packed primitives.
        points: (N, P, 3) anatomy coordinates in voxels.
    """
    col = rows.unsqueeze(-1)  # (N, WIDTH, 1)
    x = points[..., 0] * col[:, 21] - col[:, 0]
    y = points[..., 1] - col[:, 1]
    z = points[..., 2] - col[:, 2]
    a = (col[:, 6] * x + col[:, 7] * y + col[:, 8] * z) / col[:, 3]
    b = col[:, 9] * x + col[:, 10] * y + col[:, 11] * z
    c = col[:, 12] * x + col[:, 13] * y + col[:, 14] * z
    within = a.clamp(-1, 1)  # beyond its tips the object has no sag of its own
    square = within * within
    b = b - col[:, 16] * square - col[:, 19] * 2.6 * within * (square - 1)
    b_unit = b / col[:, 4]
    c = c - col[:, 17] * square - col[:, 18] * (b_unit * b_unit).clamp(max=4)
    thick = (1 + col[:, 20] * a).clamp(0.15, 1.9)
    return a, b_unit / thick, c / (col[:, 5] * thick)


def inside(rows: torch.Tensor, points: torch.Tensor, cuts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the objects are, and which part of them.

    Args:
        rows: (N, WIDTH) packed primitives.
        points: (N, P, 3) anatomy coordinates.
        cuts: (N, 2) places of the cuts in half lengths.

    Returns:
        (N, P) bool: the point lies in the object; (N, P) uint8 part, 0 to 2.
    """
    a, b, c = own_coordinates(rows, points)
    along = a + rows[:, 22:23] * (b * b + 0.5 * c)
    part = (along > cuts[:, 0:1]).byte() + (along > cuts[:, 1:2]).byte()
    return size(a, b, c, rows[:, 15:16]) < 1, part


def swollen(rows: torch.Tensor, slack: float) -> torch.Tensor:
    """Radii (N, 3) of untapered objects that hold every point within `slack` voxels of the given ones.

    Args:
        rows: (N, WIDTH) packed primitives.
        slack: voxels; a sag that is steep over that distance asks for more along its axis.
    """
    radii, bend, swing = rows[:, 3:6], rows[:, 16:19].abs(), rows[:, 19].abs()
    steep_b = (2 * bend[:, 0] + 5.2 * swing) / radii[:, 0]
    steep_c = 2 * bend[:, 1] / radii[:, 0] + 4 * bend[:, 2] / radii[:, 1] * (1 + steep_b)
    thick = 1 + rows[:, 20].abs()
    b = radii[:, 1] * thick + slack * (1 + steep_b)
    c = radii[:, 2] * thick + slack * (1 + steep_c)
    return torch.stack([radii[:, 0] + slack, b, c], 1)


def size(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, boxy: torch.Tensor) -> torch.Tensor:
    """Below 1 in the object: squares for an ellipsoid, fourth powers for a rounded box."""
    total = torch.zeros_like(a)
    for t in (a, b, c):
        square = t * t
        total += square * (1 - boxy + boxy * square)
    return total
