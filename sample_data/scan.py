"""How a study was scanned: the voxel grid, its order of axes, its tilt, its noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation


@dataclass(frozen=True)
class Scan:
    """The grid of one study.

    Attributes:
        axes: Direction of each array axis as stored, e.g. "LPS" or "SRA".
        spacing: Voxel size in mm along x, y, z of the untilted patient.
        tilt: Rotation of the grid about x, y, z in degrees; zeros for a grid along the patient's axes.
    """

    axes: str
    spacing: tuple[float, float, float]
    tilt: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def grid(self, extent: Sequence[float], centre: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        """Affine (4, 4) and shape of the grid in RAS order that spans `extent` mm around `centre`."""
        shape = tuple(round(side / step) for side, step in zip(extent, self.spacing, strict=True))
        affine = np.eye(4)
        affine[:3, :3] = Rotation.from_euler("xyz", self.tilt, degrees=True).as_matrix() * self.spacing
        affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
        return affine, shape

    def stored(self, array: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
        """The array (I, J, K) in RAS order as an image whose axes run as this scan stores them."""
        image = nib.Nifti1Image(array, affine)
        image.header.set_xyzt_units("mm")
        ras, wanted = nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(self.axes)
        return image.as_reoriented(nib.orientations.ornt_transform(ras, wanted))


def points_of(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Coordinates (I, J, K, 3) in mm of the voxel centres of a grid."""
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return voxels @ affine[:3, :3].T + affine[:3, 3]


def grain(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Random texture of unit deviation whose grain is `sigma` voxels wide."""
    noise = gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    return noise / noise.std()
