"""Grid: the way from a query's own voxels to the working grid, and all that is needed to go back.

Native voxels (any order, oblique) -> RAS+ order -> crop to the nonzero box -> working grid of another
spacing. The working grid covers the crop's field of view edge to edge, as `align_corners=False` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from iris_core.triple import triple
from iris_core.volume.boxes import Box, box_around, slices_of
from iris_core.volume.label_values import label_dtype
from iris_core.volume.orientation import canonical_affine, canonical_shape, from_canonical, to_canonical
from iris_core.volume.volume import Volume, canonical_spacing

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where a working image lies in its native volume.

    Attributes:
        native_shape: (I, J, K) of the file.
        native_affine: (4, 4) of the file, voxel -> RAS+ mm.
        crop: the box that is kept, along the RAS+ axes.
        shape: (D, H, W) of the working grid.
        spacing: wanted voxel size of the working grid along the RAS+ axes, mm; the shape is rounded, so the
            true size differs by up to half a working voxel over the whole axis.
    """

    native_shape: Shape
    native_affine: np.ndarray
    crop: Box
    shape: Shape
    spacing: Spacing

    @property
    def crop_shape(self) -> Shape:
        """Native voxels kept along the RAS+ axes."""
        return triple(stop - start for start, stop in self.crop)

    @property
    def affine(self) -> np.ndarray:
        """(4, 4): voxel of the working grid -> RAS+ mm."""
        scale = np.array(self.crop_shape) / np.array(self.shape)
        step = np.diag([*scale, 1.0])  # working voxel -> RAS+ voxel of the whole native volume
        step[:3, 3] = np.array([start for start, _ in self.crop]) + scale / 2 - 0.5
        return canonical_affine(self.native_affine, self.native_shape) @ step


def make_grid(volume: Volume, spacing: Spacing, box: Box | None = None) -> Grid:
    """The grid of a volume's nonzero box, or of another box, at a voxel size along the RAS+ axes, mm."""
    crop = nonzero_box(volume) if box is None else box
    sizes = [stop - start for start, stop in crop]
    shape = working_shape(sizes, canonical_spacing(volume.affine), spacing)
    return Grid(volume.shape, volume.affine, crop, shape, spacing)


def working_shape(shape: Sequence[int], old: Spacing, new: Spacing) -> Shape:
    """nnU-Net's target shape: every length times old over new spacing, rounded to even at .5, at least 1."""
    scales = [before / after for before, after in zip(old, new, strict=True)]
    return triple(max(1, round(scale * length)) for scale, length in zip(scales, shape, strict=True))


def nonzero_box(volume: Volume) -> Box:
    """The smallest box along the RAS+ axes with every voxel that is not 0; the whole volume if all are 0."""
    occupied = to_canonical(volume.array, volume.affine) != 0
    return box_around(occupied) or triple((0, length) for length in occupied.shape)


def resample(array: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Trilinear, edge to edge (`align_corners=False`): (K, ...) -> (K, *shape)."""
    if tuple(array.shape[1:]) == tuple(shape):
        return array
    return functional.interpolate(array[None], size=shape, mode="trilinear", align_corners=False)[0]


def label_map(logits: torch.Tensor | np.ndarray, values: Sequence[int]) -> np.ndarray:
    """One value a voxel from sigmoid logits (K, ...): that of the largest logit above 0, else background.

    The type is the smallest of uint8, uint16 and int32 that holds the K label values.
    """
    return _winners(tuple(logits.shape[1:]), logits, values)


@dataclass(frozen=True, eq=False)
class ClassMap:
    """One class on a working grid of its own.

    Args:
        value: of the label.
        logits: (D, H, W); above 0 is the class.
        grid: of the logits.
        expected: Dice to expect; None: as the logits alone let expect.
        sources: names of the references that it comes from.
        pass_dice: Dice between two passes; None: there was one.
    """

    value: int
    logits: torch.Tensor
    grid: Grid
    expected: float | None = None
    sources: tuple[str, ...] = ()
    pass_dice: float | None = None

    def native(self) -> np.ndarray:
        """(I, J, K) float32 logits in the file's own voxels, on the CPU; minus infinity outside the crop."""
        grid = self.grid
        inside = resample(self.logits.detach().to("cpu", torch.float32)[None], grid.crop_shape)[0]
        full = np.full(canonical_shape(grid.native_affine, grid.native_shape), -np.inf, dtype=np.float32)
        full[slices_of(grid.crop)] = inside.numpy()
        return np.ascontiguousarray(from_canonical(full, grid.native_affine))


def compete(maps: Sequence[ClassMap]) -> np.ndarray:
    """`label_map` of at least one map, each on its own working grid: (I, J, K) in their file's voxels."""
    natives = (one.native() for one in maps)  # one at a time, so that many fit into memory
    return _winners(maps[0].grid.native_shape, natives, [one.value for one in maps])


def restore_label_map(logits: torch.Tensor, grid: Grid, values: Sequence[int]) -> np.ndarray:
    """`compete` of maps (K, D, H, W) on one working grid."""
    return compete([ClassMap(value, one, grid) for value, one in zip(values, logits, strict=True)])


def _winners(
    shape: tuple[int, ...], maps: Iterable[torch.Tensor | np.ndarray], values: Sequence[int]
) -> np.ndarray:
    labels = np.zeros(shape, dtype=label_dtype(max(values, default=0)))
    best = np.zeros(shape, dtype=np.float32)
    for one, value in zip(maps, values, strict=True):
        logits = np.asarray(one, dtype=np.float32)
        ahead = logits > best
        labels[ahead] = value
        best[ahead] = logits[ahead]
    return labels
