"""Reading one DICOM series as one volume in its place, its values rescaled slice by slice."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.dicom.frame import Frame
from iris_core.volume_io.dicom.one_volume import one_volume
from iris_core.volume_io.dicom.pixels import stored_values
from iris_core.volume_io.itk.images import LPS_TO_RAS


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the one image series of a folder, or of one file; frames in the order of their positions.

    Every frame's stored values are rescaled by its own slope and intercept. How a viewer should show them
    (window, MONOCHROME1) does not matter. Segmentations, structure sets, reports and other objects without an
    image of their own are passed over where an image lies beside them; so are series that make no volume, a
    localizer for instance, with a remark (`one_volume`).

    Args:
        path: a folder, or a DICOM file; of a folder the files directly in it count.

    Returns:
        (I, J, K) float32; affine (4, 4) float64, voxel -> RAS+ mm; k runs along the normal of the slices.

    Raises:
        InputError: no image series, several of them, a single slice, colour, or frames that do not make one
            even, upright volume; or files that cannot be read.
    """
    with _quiet():
        ordered, affine = one_volume(path)
        return _values(ordered), LPS_TO_RAS @ affine


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps pydicom's remarks off the terminal; what matters of a broken element is raised as an error."""
    pydicom_log = logging.getLogger("pydicom")
    level = pydicom_log.level
    pydicom_log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom_log.setLevel(level)


def _values(frames: Sequence[Frame]) -> np.ndarray:
    """(I, J, K) float32: each frame's stored values by its own slope and intercept."""
    rows, columns = frames[0].size
    array = np.empty((columns, rows, len(frames)), dtype=np.float32)
    places: dict[Path, list[int]] = {}
    for k, frame in enumerate(frames):
        places.setdefault(frame.file, []).append(k)
    for file, planes in places.items():
        stored = stored_values(file)
        for k in planes:
            frame = frames[k]
            if frame.index >= len(stored) or stored.shape[1:] != frame.size:
                raise InputError(
                    "has fewer pixels than its header states",
                    where=file,
                    expected=f"frame {frame.index + 1} of {rows} x {columns}",
                    found=f"shape {stored.shape}",
                    remedy="the file is damaged or cut short; copy it again",
                )
            plane = stored[frame.index].T
            slope = 1.0 if frame.slope is None else frame.slope
            intercept = frame.intercept or 0.0
            if (slope, intercept) != (1.0, 0.0):
                plane = plane * slope + intercept
            array[:, :, k] = plane
    return array
