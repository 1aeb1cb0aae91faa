"""Refusing voxel sizes that no scan of a body has: their numbers are in another unit than the file states."""

from __future__ import annotations

from iris_core.errors import InputError
from iris_core.volume.volume import Volume

LEAST_FIELD_MM = 3.0  # the longest side of an image; metres taken for mm lie below it
MOST_FIELD_MM = 10_000.0
MOST_VOXEL_MM = 200.0  # micrometres taken for mm lie above it


def refuse_wrong_unit(image: Volume) -> None:
    """Refuses an image that is too small or too large for a body.

    Raises:
        InputError: its longest side is under 3 mm or over 10 m, or a voxel is longer than 200 mm.
    """
    sides = [size * length for size, length in zip(image.spacing, image.shape, strict=True)]
    if LEAST_FIELD_MM <= max(sides) <= MOST_FIELD_MM and max(image.spacing) <= MOST_VOXEL_MM:
        return
    size = " x ".join(f"{side:.4g}" for side in image.spacing)
    raise InputError(
        "the voxel sizes are not those of a body in mm",
        where=image.source,
        expected=f"a longest side of {LEAST_FIELD_MM:g} mm to {MOST_FIELD_MM / 1000:g} m",
        found=f"voxels of {size} mm and a longest side of {max(sides):.4g} mm",
        remedy="if the numbers are metres or micrometres, state that unit in a NIfTI header (xyzt_units), or "
        "convert the file to mm",
    )
