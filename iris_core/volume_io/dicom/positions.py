"""The positions of slices: their own, or what the standard lets stand in for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume_io.dicom.frame import Frame, known

DISAGREEING = 0.1  # by which slice locations may lie farther apart or closer than SpacingBetweenSlices


def with_positions(frames: Sequence[Frame], path: Path) -> list[Frame]:
    """The frames with a position each.

    Slices without any position are placed along their normal by SliceLocation where SpacingBetweenSlices
    agrees, with a warning.

    Raises:
        InputError: some slices have a position and others none, or nothing can stand in for it.
    """
    missing = [frame for frame in frames if frame.position is None]
    if not missing:
        return list(frames)
    if len(missing) < len(frames):
        raise InputError(
            "has slices without a position",
            where=path,
            expected=f"ImagePositionPatient in all {len(frames)} slices",
            found=f"{len(missing)} without, for instance in {missing[0].file.name}",
            remedy="export the series again with its positions",
        )
    locations, gaps = [frame.location for frame in frames], [frame.gap for frame in frames]
    lacking = [
        name
        for name, values in (("SliceLocation", locations), ("SpacingBetweenSlices", gaps))
        if any(value is None for value in values)
    ]
    if lacking:
        raise InputError(
            "has slices without a position",
            where=path,
            expected="ImagePositionPatient, or SliceLocation with SpacingBetweenSlices",
            found=f"no ImagePositionPatient and no {' and no '.join(lacking)}",
            remedy="export the series again with its positions",
        )
    stated = abs(known(gaps[0]))
    distance = np.diff(np.unique([known(location) for location in locations]))
    if distance.size and abs(np.median(distance) - stated) > DISAGREEING * stated:
        raise InputError(
            "has slices without a position, and what stands in for it disagrees",
            where=path,
            expected=f"slice locations {stated:g} mm apart, as SpacingBetweenSlices states",
            found=f"{np.median(distance):g} mm",
            remedy="export the series again with its positions",
        )
    remark(
        path,
        "its slices have no position; they are placed by SliceLocation along their normal, "
        f"{stated:g} mm apart. The place in the patient is unknown, and which end comes first is an "
        "assumption",
    )
    return [replace(frame, position=known(frame.location) * frame.normal) for frame in frames]
