"""Volume and LabelVolume: a voxel array with its place in the patient, in the file's own voxel order.

Reading and writing live in `iris_core.volume_io`; the label's fit to an image in `label_grid` beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.triple import triple
from iris_core.volume.colors import PALETTE, Color
from iris_core.volume.label_values import label_dtype, values_in
from iris_core.volume.orientation import canonical_affine
from iris_core.volume.placement import Placement

MIN_DETERMINANT = 1e-3  # of the affine's axes scaled to length 1; below it the axes lie in one plane


@dataclass(frozen=True, eq=False)
class _Placed:
    """A 3D array with its place in the patient.

    Attributes:
        array: (I, J, K), in the file's own voxel order.
        affine: (4, 4) float64, voxel -> RAS+ mm.
        source: the file or folder that it was read from.
        placement: how a NIfTI header states its place, its own or that of the image it belongs to; None for
            other files. Results copy it.

    Raises:
        InputError: the array is not 3D, or the affine has no inverse.
    """

    array: np.ndarray
    affine: np.ndarray
    _: KW_ONLY
    source: Path | None = None
    placement: Placement | None = None

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            shape = f"shape {self.array.shape}"
            raise InputError("not a 3D volume", where=self.source, expected="3 axes", found=shape)
        linear = np.asarray(self.affine, dtype=np.float64)[:3, :3]
        lengths = np.linalg.norm(linear, axis=0)
        usable = self.affine.shape == (4, 4) and np.isfinite(self.affine).all() and bool((lengths > 0).all())
        if not usable or abs(np.linalg.det(linear / lengths)) < MIN_DETERMINANT:
            raise InputError(
                "the affine does not place the voxels in space",
                where=self.source,
                expected="a 4x4 matrix with an inverse",
                found=np.array2string(np.asarray(self.affine), precision=4, suppress_small=True),
                remedy="repair the file's header (sform or qform, or space directions)",
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (i, j, k)."""
        return triple(self.array.shape)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along (i, j, k) in mm."""
        return voxel_sizes(self.affine)


class Volume(_Placed):
    """A scalar 3D image, float32."""


@dataclass(frozen=True, eq=False)
class LabelVolume(_Placed):
    """A segmentation: one value a voxel, or several layers where structures overlap.

    The array holds whole numbers, 0 is background. Where layers overlap, the later layer shows.

    Attributes:
        names: value -> name, for the values that have one.
        colors: value -> (R, G, B), 0-255, for the values that have one.
        layers: every layer, (I, J, K) integer, values unique over all layers; empty for a plain label map.
        partial: the format may hold just the painted part of the image's grid (.nrrd, DICOM SEG).
        ignored: (I, J, K) bool, voxels that are to be ignored; None: there are none.
        unlabelled: value -> (I, J, K) bool, voxels that nobody checked for that class.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, Color] = field(default_factory=dict)
    layers: tuple[np.ndarray, ...] = ()
    partial: bool = False
    ignored: np.ndarray | None = None
    unlabelled: Mapping[int, np.ndarray] = field(default_factory=dict)

    @property
    def itk_affine(self) -> np.ndarray:
        """The affine for ITK's viewers: `affine`, unless ITK reads the query's NIfTI header otherwise."""
        placement = self.placement
        return placement.itk if placement and placement.places(self.shape, self.affine) else self.affine

    @cached_property
    def values(self) -> tuple[int, ...]:
        """The values that occur in the array or a layer, ascending, without 0."""
        found = {value for layer in self.layers or (self.array,) for value in values_in(layer)}
        return tuple(sorted(found - {0}))

    def masks(self, values: Sequence[int]) -> np.ndarray:
        """(K, I, J, K) bool: the voxels of each value, also where another layer covers them."""
        layers = self.layers or (self.array,)
        masks = np.zeros((len(values), *self.shape), dtype=bool)
        for index, value in enumerate(values):
            for layer in layers:
                masks[index] |= layer == value
        return masks

    def unknown(self, value: int) -> np.ndarray | None:
        """(I, J, K) bool: voxels that the label leaves unknown for a class; None: there are none."""
        unlabelled = self.unlabelled.get(value)
        if self.ignored is None or unlabelled is None:
            return self.ignored if unlabelled is None else unlabelled
        return self.ignored | unlabelled

    @property
    def is_complete(self) -> bool:
        """Whether the label leaves no voxel unknown."""
        return self.ignored is None and not self.unlabelled

    def name_of(self, value: int) -> str:
        """The value's name, or `label_<value>` where none is known."""
        return self.names.get(value, f"label_{value}")

    def color_of(self, value: int) -> Color:
        """The value's colour, or one of the palette where none is known."""
        return self.colors.get(value, PALETTE[(value - 1) % len(PALETTE)])


def label_from_masks(
    masks: np.ndarray,
    values: Sequence[int],
    affine: np.ndarray,
    *,
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, Color] | None = None,
    placement: Placement | None = None,
) -> LabelVolume:
    """A label that keeps overlapping masks, in as few layers as the masks need when taken in order.

    Args:
        masks: (K, I, J, K) bool.
        values: the K label values, positive and different.
        affine: (4, 4), voxel -> RAS+ mm.
        names: as in `LabelVolume`.
        colors: as in `LabelVolume`.
        placement: of the image that the masks belong to.
    """
    dtype = label_dtype(max(values, default=0))
    layers: list[np.ndarray] = []
    array = np.zeros(masks.shape[1:], dtype=dtype)
    for mask, value in zip(masks, values, strict=True):
        array[mask] = value
        home = next((layer for layer in layers if not layer[mask].any()), None)
        if home is None:
            home = np.zeros(masks.shape[1:], dtype=dtype)
            layers.append(home)
        home[mask] = value
    overlapping = tuple(layers) if len(layers) > 1 else ()
    return LabelVolume(
        array, affine, dict(names or {}), dict(colors or {}), layers=overlapping, placement=placement
    )


def voxel_sizes(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel size along (i, j, k) in mm: the lengths of the affine's columns."""
    sizes = np.linalg.norm(np.asarray(affine, dtype=np.float64)[:3, :3], axis=0)
    return float(sizes[0]), float(sizes[1]), float(sizes[2])


def canonical_spacing(affine: np.ndarray) -> tuple[float, float, float]:
    """Voxel size along the RAS+ axes in mm, of an affine in the order of its file."""
    return voxel_sizes(canonical_affine(affine, (1, 1, 1)))
