"""Refusing a series whose slices are not of one kind: size, pixel spacing, orientation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.dicom.frame import Frame

SAME_AXES = 5e-4  # largest difference of two orientations' cosines
SAME_SPACING = 1e-3  # relative difference of two pixel spacings
LISTED = 6  # values that a message lists


def require_one_kind(frames: Sequence[Frame], path: Path) -> None:
    """Refuses what changes inside a series, or is missing from some or all of it.

    Raises:
        InputError: no pixel spacing, no orientation, or several of them or of sizes.
    """
    first = frames[0]
    for name, value in (("PixelSpacing", first.spacing), ("ImageOrientationPatient", first.orientation)):
        if value is None:
            remedy = "a screen capture, a photograph or a film scan has none; give the scanner's own series"
            raise InputError(
                f"has no {name}", where=first.file, expected="a slice with its place", remedy=remedy
            )
    sizes = Counter(f"{frame.size[0]} x {frame.size[1]}" for frame in frames)
    if len(sizes) > 1:
        raise _changing("size", sizes, path)
    spacings = Counter(
        "none" if frame.spacing is None else f"{frame.spacing[0]:.5g} x {frame.spacing[1]:.5g} mm"
        for frame in frames
    )
    if any(
        frame.spacing is None or not np.allclose(frame.spacing, first.spacing, rtol=SAME_SPACING)
        for frame in frames
    ):
        raise _changing("pixel spacing", spacings, path)
    if any(
        frame.orientation is None or np.abs(frame.orientation - first.orientation).max() > SAME_AXES
        for frame in frames
    ):
        views = Counter(_view(frame.orientation) for frame in frames)
        raise _changing("orientation", views, path)


def _changing(what: str, values: Counter[str], path: Path) -> InputError:
    listed = ", ".join(f"{value} in {count} slices" for value, count in values.most_common(LISTED))
    return InputError(
        f"changes its {what} inside one series",
        where=path,
        expected="slices of one volume",
        found=listed,
        remedy="take the slices that do not belong to it (a localizer, for instance) out of the folder",
    )


def _view(orientation: np.ndarray | None) -> str:
    """An orientation in words: the plane, and its two vectors."""
    if orientation is None:
        return "none"
    plane = ("sagittal", "coronal", "axial")[int(np.abs(np.cross(*orientation)).argmax())]
    return f"{plane} ({' '.join(f'{part:.3g}' for part in orientation.ravel())})"
