"""Label values: whole numbers from 0 on, in the smallest type that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.remarks import remark

MAX_LABEL = int(np.iinfo(np.int32).max)
FLOAT_NOISE = 1e-4  # what slope and intercept leave behind; no remark is made of it
TOLERANCE = 0.02  # how far from a whole number a value may lie; a scaled header of 8 bits errs by less
MANY = 64  # different values above which a label may be an image
PROBABILITIES = "is a probability map, not a label map"
SMALLEST_IMAGE = 1000  # voxels that an image has at least


def whole_numbers(array: np.ndarray, path: Path | None = None) -> np.ndarray:
    """A label's array in the smallest integer type that holds its numbers.

    Numbers within `TOLERANCE` of whole ones are rounded; where that is more than noise, a remark on the file
    says so.

    Raises:
        InputError: a value is not a whole number from 0 on.
    """
    if array.dtype.kind not in "buif":
        raise not_a_label_map(path, str(array.dtype))
    if array.dtype.kind == "f":
        array = _rounded(array, path)
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > MAX_LABEL:
        count = len(np.unique(array))
        doubt = f", {count} different values: is this the image?" if count > MANY else ""
        raise InputError(
            "label values are out of range",
            where=path,
            expected=f"0 to {MAX_LABEL}",
            found=f"{low:g} to {high:g}{doubt}",
            remedy="give the segmentation; 0 is background",
        )
    return np.ascontiguousarray(array, dtype=label_dtype(int(high)))


def label_dtype(largest: int) -> np.dtype:
    """The smallest type of uint8, uint16 and int32 that holds the value."""
    return np.min_scalar_type(largest) if largest <= np.iinfo(np.uint16).max else np.dtype(np.int32)


def values_in(array: np.ndarray) -> list[int]:
    """The different values of an array of whole numbers from 0 on, ascending."""
    if array.size and array.max() <= np.iinfo(np.uint16).max:  # faster on large volumes than to sort
        occurs = np.zeros(int(array.max()) + 1, dtype=bool)
        occurs[array] = True
        return np.flatnonzero(occurs).tolist()
    return np.unique(array).tolist()


def _rounded(array: np.ndarray, path: Path | None) -> np.ndarray:
    """The whole numbers that the values of a floating-point label mean."""
    rounded = np.rint(array)
    with np.errstate(invalid="ignore"):
        away = np.abs(array - rounded)
    wrong = ~(away <= TOLERANCE)  # also catches NaN
    if not wrong.any():
        worst = float(away.max()) if away.size else 0.0
        if worst > FLOAT_NOISE and not rounded.any():
            found = f"values from {array.min():.3g} to {array.max():.3g}, nowhere above one half"
            raise not_a_label_map(path, found, "give the segmentation", what=PROBABILITIES)
        if worst > FLOAT_NOISE:
            remark(path, f"label values up to {worst:.2g} away from whole numbers were rounded")
        return rounded
    finite = np.isfinite(array)
    if not finite.all():
        found = f"NaN or infinity in {array.size - int(finite.sum())} of {array.size} voxels"
        raise not_a_label_map(path, found, "give the segmentation; 0 is background")
    count = len(np.unique(array))
    if array.min() >= -TOLERANCE and array.max() <= 1 + TOLERANCE:
        found = f"{count} different values from {array.min():.3g} to {array.max():.3g}"
        remedy = f"save where it is above one half, e.g. {nibabel_command(path, '(a > 0.5)')}"
        raise not_a_label_map(path, found, remedy, what=PROBABILITIES)
    if count > MANY and array.size >= SMALLEST_IMAGE:
        raise is_the_image(count, path)
    remedy = "give the segmentation, not an image or one that was interpolated"
    raise not_a_label_map(path, f"{array[wrong].flat[0]:g}", remedy)


def nibabel_command(path: Path | None, change: str) -> str:
    """A command that makes a label file of a NIfTI file by a change of its array `a`, in NumPy's words."""
    source, target = (repr(str(p)) for p in (path or "FILE.nii.gz", "label.nii.gz"))
    return (
        f'python -c "import nibabel as n; i = n.load({source}); a = i.get_fdata(); '
        f"n.save(n.Nifti1Image({change}.astype('uint8'), i.affine), {target})\""
    )


def not_a_label_map(
    path: Path | None,
    found: str,
    remedy: str | None = None,
    *,
    what: str = "is not a label map",
    expected: str = "whole numbers",
) -> InputError:
    """The refusal of a file that was given as a label; arguments as in `IrisError`."""
    return InputError(what, where=path, expected=expected, found=found, remedy=remedy)


def is_the_image(count: int, path: Path | None) -> InputError:
    """The refusal of an image in the place of a label; `count` is the number of its different values."""
    return not_a_label_map(
        path,
        f"{count} different values: is this the image?",
        "give the segmentation",
        expected="whole numbers that are even within each structure",
    )
