"""Label map or image? A label map has few values, and neighbours inside a structure share theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from iris_core.label_values import MANY, MAX_LABEL, SMALLEST_IMAGE, is_the_image, values_in

ROUGH = 0.7  # share of neighbours with different values above which many values are an image's
FEW = 256  # different values up to which an image is looked at as if it were a label map
EVEN = 0.35  # share of neighbours with different values below which they are a label map's
HANDFUL, EVEN_HANDFUL = 16, 0.7  # so few values are a label map's also where structures are thin
LEVELS, SLOW = 8, 0.7  # more values than this that mostly change in steps of 1 are a smooth image's
SMALL_NUMBER, STRIDE = 20, 4  # largest value of a label map of few, and by the count of its values


def refuse_image(array: np.ndarray, path: Path | None = None) -> None:
    """Refuses whole numbers that are an image's: many different ones, and neighbours that seldom agree.

    Args:
        array: (I, J, K, ...) whole numbers from 0 on.
        path: the file that the error names.

    Raises:
        InputError: it is an image.
    """
    count = len(values_in(array))
    if count > MANY and array.size >= SMALLEST_IMAGE and roughness(array) > ROUGH:
        raise is_the_image(count, path)


def few_even_values(array: np.ndarray) -> list[int] | None:
    """The values of an array that looks like a label map; None for one that looks like an image.

    Args:
        array: (I, J, K) numbers of any type.
    """
    few = array[:: max(1, array.shape[0] // 8)]  # an image is known by a few of its slices
    for part in (few, array):
        if part.min() < 0 or part.max() > MAX_LABEL or (part != np.rint(part)).any():
            return None
        if len(np.unique(part)) > FEW:
            return None
    values = [int(value) for value in np.unique(array)]
    limit = EVEN_HANDFUL if len(values) <= HANDFUL else EVEN
    if roughness(array) >= limit or (len(values) > LEVELS and _rises_slowly(array)):
        return None
    return values


def label_map_doubt(array: np.ndarray) -> str | None:
    """What makes an image look like a label map, going on after its name; None where nothing does."""
    values = few_even_values(array)
    if values is None:
        return None
    return f"looks like a label map, not an image: {len(values)} different values, even inside"


def numbered_like_labels(values: list[int]) -> bool:
    """Whether few values are numbered as people number structures: from 0 or 1 on, with few gaps."""
    return values[-1] <= max(SMALL_NUMBER, STRIDE * len(values))


def roughness(array: np.ndarray) -> float:
    """Share of the neighbouring voxels with different values, among those that are not both 0.

    Structures are even inside, so a label map stays low unless they are thin; an image lies near 1.

    Args:
        array: (I, J, K, ...) numbers.
    """
    different = shown = 0
    for first, second in _neighbours(array):
        different += int(np.count_nonzero(first != second))
        shown += int(np.count_nonzero((first != 0) | (second != 0)))
    return different / shown if shown else 0.0


def _neighbours(array: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each of the first three axes all voxels but the last, and all but the first."""
    for axis in range(3):
        before = (slice(None),) * axis
        yield array[(*before, slice(None, -1))], array[(*before, slice(1, None))]


def _rises_slowly(array: np.ndarray) -> bool:
    """Whether values change by steps of 1 almost everywhere, as in a smooth image of few grey levels."""
    steps = [np.abs(second - first) for first, second in _neighbours(array)]
    changes = np.concatenate([step[step > 0] for step in steps])
    return changes.size > 0 and float((changes == 1).mean()) > SLOW
