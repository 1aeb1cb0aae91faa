"""Refusing several slices at one place, and saying what tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.dicom.frame import Frame, at_mm, known

SAME_PLACE = 0.02  # of the usual slice distance: two slices closer than this are at one place
SAME_PLACE_MM = 0.01  # and closer than this they always are: scanners round positions
LISTED = 6  # values that a message lists
NOT_ONE_VOLUME = (
    "give a series that is one volume, or convert it with a DICOM converter (for instance dcm2niix)"
)


def refuse_shared_places(frames: Sequence[Frame], depths: np.ndarray, path: Path) -> None:
    """Refuses several slices at one place: time points, b-values, echoes, or copies.

    Args:
        frames: in the order of `depths`.
        depths: (F,) mm along the normal, ascending.
        path: for the message.
    """
    gaps = np.diff(depths)
    apart = gaps[gaps > SAME_PLACE_MM]
    new = gaps > max(SAME_PLACE * float(np.median(apart)) if apart.size else 0.0, SAME_PLACE_MM)
    place = np.concatenate([[0], np.cumsum(new)])  # (F,) the number of each slice's place
    counts = np.bincount(place)
    if counts.max() == 1:
        return
    many = int(counts.max())
    if len(counts) == 1:
        raise InputError(
            "has all its slices at one place",
            where=path,
            expected="a volume of slices at even distances",
            found=f"{many} slices{_told_apart(frames, many)}",
            remedy=NOT_ONE_VOLUME,
        )
    if counts.min() == many:
        raise InputError(
            "holds several volumes, not one",
            where=path,
            expected="one slice at each place",
            found=f"{many} slices at each of {len(counts)} places{_told_apart(frames, many)}",
            remedy=NOT_ONE_VOLUME,
        )
    doubled = int(counts.argmax())
    here = [frame for frame, number in zip(frames, place, strict=True) if number == doubled]
    raise InputError(
        "has several slices at one place",
        where=path,
        expected="one slice at each place",
        found=f"{many} slices at {at_mm(known(here[0].position))}, as in {_sources(here)}; "
        f"{int((counts > 1).sum())} of {len(counts)} places are shared{_told_apart(here, many)}",
        remedy=NOT_ONE_VOLUME,
    )


def _told_apart(frames: Sequence[Frame], many: int) -> str:
    """What differs between slices at one place: "; time point 1, 2, 3"."""
    names = dict.fromkeys(name for frame in frames for name in frame.axes)
    values = {name: list(dict.fromkeys(frame.axes.get(name, "none") for frame in frames)) for name in names}
    varied = [name for name in names if 1 < len(values[name]) <= max(many, 2)]
    parts = []
    for name in varied[:2]:
        listed = sorted(values[name], key=_by_number)
        more = ", ..." if len(listed) > LISTED else ""
        parts.append(f"{name} {', '.join(listed[:LISTED])}{more}")
    return f", which differ in {' and '.join(parts)}" if parts else ""


def _sources(frames: Sequence[Frame]) -> str:
    names = dict.fromkeys(frame.file.name for frame in frames)
    if len(names) == 1:
        return f"frames {', '.join(str(frame.index + 1) for frame in frames[:LISTED])} of {next(iter(names))}"
    return ", ".join(list(names)[:LISTED])


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text
