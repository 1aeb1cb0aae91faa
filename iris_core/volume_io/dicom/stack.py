"""Frames into one even, upright volume, or a refusal that says what keeps them from it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.dicom.frame import Frame, at_mm, known
from iris_core.volume_io.dicom.one_kind import require_one_kind, require_one_volume
from iris_core.volume_io.dicom.positions import with_positions
from iris_core.volume_io.dicom.shared_places import refuse_shared_places

OFF_LATTICE = 0.1  # slice distances: how far a slice may lie from its place in an even stack


def stack(frames: Sequence[Frame], path: Path) -> tuple[list[Frame], np.ndarray]:
    """Puts frames in the order of their places.

    Args:
        frames: at least one, of one series.
        path: the folder or file that a message names.

    Returns:
        The frames along the normal of their planes; affine (4, 4), voxel (i, j, k) -> LPS mm, where i runs
        along a row, j down a column and k along the normal.

    Raises:
        InputError: one slice only; places, spacing or orientation missing or changing; slices that are
            missing, at one place, of several time points or echoes, unevenly spaced or tilted.
    """
    require_one_kind(frames, path)
    if len(frames) == 1:
        raise InputError(
            "is a 2D image", where=path, expected="a volume of several slices", found="one slice",
            remedy="give the folder with all slices of the series",
        )  # fmt: skip
    frames = with_positions(frames, path)
    normal = frames[0].normal
    depths = np.array([known(frame.position) @ normal for frame in frames])
    order = np.argsort(depths, kind="stable")
    frames, depths = [frames[index] for index in order], depths[order]
    refuse_shared_places(frames, depths, path)
    require_one_volume(frames, path)
    _refuse_gaps(frames, depths, path)
    step = (depths[-1] - depths[0]) / (len(frames) - 1)
    return frames, _affine(frames, depths, step, path)


def _refuse_gaps(frames: Sequence[Frame], depths: np.ndarray, path: Path) -> None:
    """Refuses slices whose distances are not even; the tolerance is a part of their distance."""
    even = np.linspace(depths[0], depths[-1], len(depths))
    step = even[1] - even[0]
    if np.abs(depths - even).max() <= OFF_LATTICE * step:
        return
    distances = np.diff(depths)
    usual = float(np.median(distances))
    parts = distances / usual
    if (np.abs(parts - np.rint(parts)) <= OFF_LATTICE * np.maximum(parts, 1)).all() and parts.max() > 1.5:
        wide = np.flatnonzero(parts > 1.5)
        first = int(wide[0])
        raise InputError(
            "slices are missing",
            where=path,
            expected=f"a slice every {usual:.4g} mm",
            found=f"{int((np.rint(parts) - 1).sum())} missing, the first between "
            f"{at_mm(known(frames[first].position))} and {at_mm(known(frames[first + 1].position))}",
            remedy="complete the series",
        )
    raise InputError(
        "slices are unevenly spaced",
        where=path,
        expected="even distances",
        found=f"distances from {distances.min():.4g} to {distances.max():.4g} mm",
        remedy="complete the series, or resample it into NIfTI with a DICOM converter",
    )


def _affine(frames: Sequence[Frame], depths: np.ndarray, step: float, path: Path) -> np.ndarray:
    """(4, 4), voxel -> LPS mm, of slices that stand straight above each other."""
    first = frames[0]
    normal = first.normal
    along, down = known(first.orientation)
    positions = np.array([known(frame.position) for frame in frames])
    lateral = positions - np.outer(depths, normal)
    drift = lateral - lateral.mean(axis=0)
    worst = 2 * float(np.linalg.norm(drift, axis=1).max())
    if worst > OFF_LATTICE * step:
        tilt = np.degrees(np.arctan2(np.linalg.norm(lateral[-1] - lateral[0]), depths[-1] - depths[0]))
        raise InputError(
            "slices do not stand straight above each other (a tilted gantry)",
            where=path,
            expected="slices stacked along their normal",
            found=f"a shift of {worst:.2f} mm over the stack, {tilt:.1f} degrees",
            remedy="resample it into NIfTI with a DICOM converter that corrects the tilt",
        )
    affine = np.eye(4)
    row_mm, column_mm = known(first.spacing)
    affine[:3, :3] = np.stack([along * column_mm, down * row_mm, normal * step], axis=1)
    affine[:3, 3] = lateral.mean(axis=0) + depths[0] * normal
    return affine
