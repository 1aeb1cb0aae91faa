"""Sheets: a class drawn in planes that lie oblique to the image's axes, as in a turned view of a viewer.

Each plane becomes a thin flat sheet of voxels. No body consists of several flat sheets that lie parallel,
over one another, a voxel or so thick; nor is one sheet a body that is flat to half a voxel over its width.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from iris_core.volume.structure import Structure

LEAST_SHEETS = 3  # pieces where no one says that the label is sparse; or a single wide one (ours)
LEAST_VOXELS = 40  # of a sheet whose direction can be measured (ours)
MOST_PARTS = 300  # pieces above which a class is scattered (ours)
THIN = 0.5  # standard deviation across a sheet, in voxels (ours)
WIDE = 1.5  # standard deviation along a sheet's shorter side, in voxels (ours)
WIDE_ALONE = 3.0  # the same of a single sheet, which is then some 12 voxels wide (ours)
FILLED = 0.5  # of the ellipse that a sheet's spread describes (ours)
HELD = 0.9  # of a class that is thinner than three voxels where it is drawn in planes (ours)
LEAST_STEP = 2.0  # voxels between two sheets' middles (ours)
ALONG_AN_AXIS = 0.9995  # cosine between the normal and an axis above which the planes are slices


@dataclass(frozen=True, eq=False)
class Sheets:
    """Parallel planes that a class was drawn in."""

    normal: np.ndarray  # (3,) unit vector in the directions of the voxel axes, for places in mm
    depths: tuple[float, ...]  # of the sheets along it, mm from the first voxel's centre, ascending
    half: float  # of a sheet's thickness, mm
    sizes: tuple[float, ...]  # of a voxel, mm
    kind: ClassVar[str] = "lie oblique to the axes"

    def held(self, shape: Sequence[int]) -> np.ndarray:
        """(I, J, K) bool: the voxels of a label that lie in the sheets' planes."""
        first, second, third = (
            np.arange(length, dtype=np.float32) * np.float32(size * part)
            for length, size, part in zip(shape, self.sizes, self.normal, strict=True)
        )
        within = np.zeros(tuple(shape), bool)
        across = second[:, None] + third
        for plane, depth in zip(within, first, strict=True):
            for sheet in self.depths:
                plane |= np.abs(across + (depth - sheet)) <= self.half
        return within


def oblique_sheets(one: Structure, sizes: Sequence[float], *, declared: bool) -> Sheets | None:
    """The planes that a class was drawn in where they are oblique to the axes; None for any other class.

    `sizes` are those of a voxel, mm. Where a person says that the label is sparse (`declared`), two pieces
    are enough.
    """
    from scipy.ndimage import find_objects, label

    if _is_solid(one.mask):
        return None
    parts, count = label(one.mask, np.ones((3, 3, 3)))
    if count > MOST_PARTS:
        return None
    places = [
        (np.argwhere(parts[box] == number) + [side.start for side in box] + one.start) * sizes
        for number, box in enumerate(find_objects(parts), 1)
    ]
    large = [place for place in places if len(place) >= LEAST_VOXELS]
    if not large:
        return None
    scatter = sum((part - part.mean(0)).T @ (part - part.mean(0)) for part in large)
    normal = np.linalg.eigh(scatter)[1][:, 0]
    if np.abs(normal).max() > ALONG_AN_AXIS:
        return None
    voxel = float(np.abs(normal) @ sizes)
    wide = WIDE if len(large) > 1 else WIDE_ALONE
    if not all(_is_sheet(part, normal, voxel, float(np.prod(sizes)), wide) for part in large):
        return None
    depths = _depths(large, normal, voxel)
    if depths is None or (len(depths) == 2 and len(large) < LEAST_SHEETS and not declared):
        return None
    across = np.concatenate(places) @ normal
    away = np.abs(across[:, None] - np.array(depths)).min(axis=1)
    half = max(float(np.percentile(away, 99)), voxel / 2)
    if half > LEAST_STEP * voxel / 2:
        return None
    return Sheets(normal, depths, half, tuple(sizes))


def _is_solid(mask: np.ndarray) -> bool:
    """Whether part of a class is three voxels thick in all directions: cheap, and true of most classes."""
    inner = mask
    for axis in range(3):
        if inner.shape[axis] < 3:
            return False
        moved = np.moveaxis(inner, axis, 0)
        inner = np.moveaxis(moved[:-2] & moved[1:-1] & moved[2:], 0, axis)
    return float(inner.sum()) > (1 - HELD) * float(mask.sum())


def _is_sheet(part: np.ndarray, normal: np.ndarray, voxel: float, volume: float, wide: float) -> bool:
    """Whether a piece (n, 3), mm, is flat, thin across the normal and filled.

    `voxel` is the size of a voxel along the normal, mm, `volume` that of a voxel, mm³, and `wide` the least
    standard deviation of the piece along its shorter side, in voxels.
    """
    centred = part - part.mean(0)
    thick = float((centred @ normal).std())
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(centred.T @ centred / len(part)), 0))
    if thick > THIN * voxel or spread[1] < wide * voxel:
        return False
    area = len(part) * volume / max(np.sqrt(12) * thick, voxel / 2)
    return bool(area >= FILLED * 4 * np.pi * spread[1] * spread[2])


def _depths(parts: Sequence[np.ndarray], normal: np.ndarray, voxel: float) -> tuple[float, ...] | None:
    """The places of the sheets along the normal; None where they do not lie apart and over one another."""
    parts = sorted(parts, key=lambda part: float(part.mean(0) @ normal))
    groups = [[parts[0]]]
    for part in parts[1:]:
        near = abs(float((part.mean(0) - groups[-1][0].mean(0)) @ normal)) <= voxel
        groups[-1].append(part) if near else groups.append([part])
    sheets = [np.concatenate(group) for group in groups]
    depths = [float(sheet.mean(0) @ normal) for sheet in sheets]
    for (one, other), step in zip(itertools.pairwise(sheets), np.diff(depths), strict=True):
        aside = other.mean(0) - one.mean(0)
        aside = np.linalg.norm(aside - (aside @ normal) * normal)
        reach = max(np.linalg.norm(sheet.std(0)) for sheet in (one, other))
        if step < LEAST_STEP * voxel or aside > 2 * reach:
            return None
    return tuple(depths)
