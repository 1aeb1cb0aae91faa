"""LabelHeader: what the header of an uploaded label or image says, read without its voxels.

An upload is a stranger's file. So only a bounded beginning of it is read here, and a header that names
another file, asks for an unusual encoding or states two things at once is refused before a library opens it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.suffix import NIFTI, suffix_of

ACCEPTED = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".mha")
MOST_LAYERS = 256  # of overlapping segments; more is no segmentation


@dataclass(frozen=True)
class LabelHeader:
    """The facts of one label file, or of an image file that is judged in the same way.

    Attributes:
        path: the file.
        shape: voxels along (i, j, k).
        layers: volumes in the file; more than 1 only in .seg.nrrd.
        dtype: of one voxel as stored, byte order included.
        offset: where the voxels begin, bytes; in the unpacked stream where the whole file is packed.
        packing: "" for none, "file" for a file that is gzip as a whole, "gzip" or "zlib" for packed voxels.
        scale: (slope, intercept) that turn stored numbers into values.
        affines: every place that the header states, (4, 4) voxel -> RAS+ mm, the usual one first.
        partial: the format may hold a part of the image's grid.
    """

    path: Path
    shape: tuple[int, int, int]
    layers: int
    dtype: np.dtype
    offset: int
    packing: str
    scale: tuple[float, float]
    affines: tuple[np.ndarray, ...]
    partial: bool

    @property
    def voxels(self) -> int:
        """Of one layer."""
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def unpacked(self) -> int:
        """Bytes of all voxels."""
        return self.voxels * self.layers * self.dtype.itemsize


def read_header(path: Path) -> LabelHeader:
    """Reads the header of a label or image file.

    Raises:
        InputError: another kind of file, a damaged header, a file whose voxels lie in another file, colours,
            complex numbers, or more or fewer than three axes.
    """
    suffix = suffix_of(path)
    if suffix not in ACCEPTED:
        raise InputError("unknown kind of file", where=path, expected=", ".join(ACCEPTED))
    if suffix in NIFTI:
        from apps.iris_app.submissions.nifti_header import nifti_header

        header = nifti_header(path)
    else:
        from apps.iris_app.submissions.text_header import text_header

        header = text_header(path)
    if min(header.shape) < 1 or not 1 <= header.layers <= MOST_LAYERS:
        raise InputError(
            "has no usable size", where=path, expected="at least one voxel along each of three axes",
            found=f"shape {header.shape} with {header.layers} layers",
        )  # fmt: skip
    return header


def image_affines(path: Path) -> list[np.ndarray]:
    """Every place that an image's header states, (4, 4) voxel -> RAS+ mm, the one that Iris works with first.

    Raises:
        InputError: the header cannot be read.
    """
    if suffix_of(path) in NIFTI:
        from apps.iris_app.submissions.nifti_header import nifti_grid

        return list(nifti_grid(path)[1])
    from apps.iris_app.submissions.text_header import itk_grid

    return [itk_grid(path)[1]]


def image_shape(path: Path) -> tuple[int, int, int]:
    """Voxels of an image along (i, j, k), from its header.

    Raises:
        InputError: the header cannot be read.
    """
    if suffix_of(path) in NIFTI:
        from apps.iris_app.submissions.nifti_header import nifti_grid

        return nifti_grid(path)[0]
    from apps.iris_app.submissions.text_header import itk_grid

    return itk_grid(path)[0]
