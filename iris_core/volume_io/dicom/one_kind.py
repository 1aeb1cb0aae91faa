"""Refusing a series whose slices are not of one kind: size, place, rescaling, time point or echo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.dicom.frame import Frame, known

SAME_AXES = 5e-4  # largest difference of two orientations' cosines
SAME_SPACING = 1e-3  # relative difference of two pixel spacings
SAME_NUMBER = 0.01  # difference of two echo times or b-values, in their own unit, or as a part of them
LISTED = 6  # values that a message lists
#: Words of SERIES_AXES that are the same in all slices of one volume. The others, as the time or the trigger
#: time of a slice, may differ from slice to slice of one volume.
OF_A_VOLUME = ("stack", "time point", "b-value", "diffusion direction", "echo time", "inversion time")


def require_one_kind(frames: Sequence[Frame], path: Path) -> None:
    """Refuses what changes inside a series, or is missing from some or all of it.

    Raises:
        InputError: no pixel spacing, no orientation, several of them or of sizes, or rescaling in some only.
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
        frame.spacing is None or not np.allclose(frame.spacing, known(first.spacing), rtol=SAME_SPACING)
        for frame in frames
    ):
        raise _changing("pixel spacing", spacings, path)
    if any(
        frame.orientation is None or np.abs(frame.orientation - known(first.orientation)).max() > SAME_AXES
        for frame in frames
    ):
        views = Counter(_view(frame.orientation) for frame in frames)
        raise _changing("orientation", views, path)
    _require_one_rescaling(frames, path)


def require_one_volume(frames: Sequence[Frame], path: Path) -> None:
    """Refuses slices at different places that are of several stacks, time points, b-values or echoes.

    Raises:
        InputError: one of OF_A_VOLUME has several values, or only some slices have it.
    """
    for name in OF_A_VOLUME:
        values = Counter(frame.axes.get(name, "none") for frame in frames)
        first, *others = values
        if any(not _same(first, other, name) for other in others):
            raise _changing(name, values, path)


def _same(one: str, other: str, name: str) -> bool:
    """Whether two values of OF_A_VOLUME are one value in two roundings."""
    if name == "b-value":  # an image without diffusion weighting may state none
        one, other = ("0" if value == "none" else value for value in (one, other))
    try:
        a, b = (np.array([float(part) for part in value.split("\\")]) for value in (one, other))
    except ValueError:
        return one == other
    return a.shape == b.shape and np.allclose(a, b, rtol=SAME_NUMBER, atol=SAME_NUMBER)


def _require_one_rescaling(frames: Sequence[Frame], path: Path) -> None:
    """Refuses a slope or an intercept that some slices have and others lack: theirs would be a guess."""
    for name, field in (("RescaleSlope", "slope"), ("RescaleIntercept", "intercept")):
        without = [frame for frame in frames if getattr(frame, field) is None]
        if 0 < len(without) < len(frames):
            first = without[0]
            raise InputError(
                "rescales some of its slices and others not",
                where=path,
                expected=f"{name} in all slices, or in none",
                found=f"{name} in {len(frames) - len(without)} of {len(frames)} slices, none in frame "
                f"{first.index + 1} of {first.file.name}",
                remedy="export the series again; the values of a slice without it have another meaning",
            )


def _changing(what: str, values: Counter[str], path: Path) -> InputError:
    listed = ", ".join(f"{value} in {count} slices" for value, count in values.most_common(LISTED))
    return InputError(
        f"changes its {what} inside one series",
        where=path,
        expected="slices of one volume",
        found=listed,
        remedy="take the slices that do not belong to it (a localizer, for instance) out of the folder, or "
        "split it with a DICOM converter (for instance dcm2niix)",
    )


def _view(orientation: np.ndarray | None) -> str:
    """An orientation in words: the plane, and its two vectors."""
    if orientation is None:
        return "none"
    plane = ("sagittal", "coronal", "axial")[int(np.abs(np.cross(*orientation)).argmax())]
    return f"{plane} ({' '.join(f'{part:.3g}' for part in orientation.ravel())})"
