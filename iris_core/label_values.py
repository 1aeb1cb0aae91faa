"""Label values: whole numbers from 0 on, in the smallest type that holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iris_core.errors import InputError

MAX_LABEL = int(np.iinfo(np.int32).max)
FLOAT_NOISE = 1e-4  # what slope and intercept may leave behind


def whole_numbers(array: np.ndarray, path: Path | None = None) -> np.ndarray:
    """The label's array in the smallest integer type that holds it.

    Args:
        array: numbers of any type and shape.
        path: the file that an error names.

    Raises:
        InputError: a value is not a whole number from 0 on.
    """
    if array.dtype.kind not in "buif":
        raise InputError("is not a label map", where=path, expected="whole numbers", found=str(array.dtype))
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        wrong = ~(np.abs(array - rounded) <= FLOAT_NOISE)  # also catches NaN
        if wrong.any():
            raise InputError(
                "is not a label map",
                where=path,
                expected="whole numbers",
                found=f"{array[wrong].flat[0]:g}",
                remedy="give the segmentation, not an image or a probability map",
            )
        array = rounded
    low, high = (array.min(), array.max()) if array.size else (0, 0)
    if low < 0 or high > MAX_LABEL:
        raise InputError(
            "label values are out of range",
            where=path,
            expected=f"0 to {MAX_LABEL}",
            found=f"{low:g} to {high:g}",
        )
    return np.ascontiguousarray(array, dtype=label_dtype(int(high)))


def label_dtype(largest: int) -> np.dtype:
    """The smallest type of uint8, uint16 and int32 that holds the value."""
    for dtype in (np.uint8, np.uint16):
        if largest <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return np.dtype(np.int32)


def values_in(array: np.ndarray) -> list[int]:
    """The different values of an array of whole numbers from 0 on, ascending."""
    if (
        array.size and array.max() <= np.iinfo(np.uint16).max
    ):  # no sorting: several times faster on large volumes
        occurs = np.zeros(int(array.max()) + 1, dtype=bool)
        occurs[array] = True
        return np.flatnonzero(occurs).tolist()
    return np.unique(array).tolist()
