"""Label map or image? A label map has few values, and neighbours inside a structure share theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iris_core.volume.grey_levels import neighbours, rise_step_by_step
from iris_core.volume.label_values import (
    MANY,
    MAX_LABEL,
    PROBABILITIES,
    SMALLEST_IMAGE,
    is_the_image,
    nibabel_command,
    not_a_label_map,
    values_in,
)

ROUGH = 0.7  # share of neighbours with different values above which many values are an image's
FEW = 256  # different values up to which an image may be a label map
EVEN = 0.35  # share of neighbours with different values below which they are a label map's
HANDFUL, EVEN_HANDFUL = 16, 0.7  # so few values are a label map's also where structures are thin
LEVELS, SLOW = 8, 0.7  # more values than this that mostly change in steps of 1 are a smooth image's
WHOLE = (100, 255, 1000)  # what stands for a probability of 1 in a map of whole numbers
SLOPES = 0.8  # share of numbers between 0 and 1 beside both a lower and a higher one in a probability map
MASK = 3  # different values that a mask has at most, the background's among them
#: Numbers of FreeSurfer's aseg, aparc+aseg, wmparc, and of both with Destrieux' regions.
FREESURFER = frozenset(
    [0, *range(2, 6), 7, 8, *range(10, 19), 24, 26, 28, 30, 31, *range(41, 45), 46, 47, *range(49, 55), 58]
    + [60, 62, 63, 72, 77, 80, 85, *range(251, 256), 5001, 5002]
    + [base + region for base in (1000, 2000, 3000, 4000) for region in range(36)]
    + [base + region for base in (11100, 12100, 13100, 14100) for region in range(76)]
)  # fmt: skip
SMALL_NUMBER, STRIDE = 20, 4  # largest value of a label map of few, and by the count of its values


def refuse_image(array: np.ndarray, path: Path | None = None) -> None:
    """Refuses whole numbers (I, J, K, ...) of an image, or of a probability map in percent or of 255 or 1000.

    An image has many different numbers, and neighbours that seldom agree or that differ step by step. A
    probability map rises from 0 to its largest number, so that nearly every number between lies beside a
    lower and a higher one.

    Raises:
        InputError: it is an image or a probability map; the file is named.
    """
    values = values_in(array)
    count, top = len(values), values[-1] if values else 0
    if count <= LEVELS or array.size < SMALLEST_IMAGE:
        return
    if top in WHOLE and _slopes(array, top) > SLOPES:
        raise not_a_label_map(
            path,
            f"{count} different values that rise from 0 to {top} at the border",
            f"save where it is above one half, e.g. {nibabel_command(path, f'(a > {top / 2:g})')}",
            what=f"{PROBABILITIES}: shares of {top}",
            expected="a whole number for each class",
        )
    rough = count > HANDFUL and roughness(array, inside=True) > ROUGH
    smooth = count > HANDFUL and not rough and rise_step_by_step(array)
    if rough or smooth or (count > MANY and roughness(array) > ROUGH):
        raise is_the_image(count, path)


def few_even_values(array: np.ndarray) -> list[float] | None:
    """The values of an array (I, J, K) that looks like a label map; None for one that looks like an image.

    They are whole numbers, or a handful of others: a mask of 0 and 0.7.
    """
    few = array[:: max(1, array.shape[0] // 8)]  # an image is known by a few of its slices
    for part in (few, array):
        if part.min() < 0 or part.max() > MAX_LABEL:
            return None
        whole = not (part != np.rint(part)).any()
        if len(np.unique(part)) > (FEW if whole else HANDFUL):
            return None
    values = [float(value) for value in np.unique(array)]
    limit = EVEN_HANDFUL if len(values) <= HANDFUL else EVEN
    if roughness(array) >= limit:
        return None
    if len(values) > LEVELS and (_rises_slowly(array) or rise_step_by_step(array)):
        return None
    return values


def label_map_doubt(array: np.ndarray) -> str | None:
    """What makes an image look like a label map, going on after its name; None where nothing does."""
    values = few_even_values(array)
    if values is None:
        return None
    return f"looks like a label map, not an image: {len(values)} different values, even inside"


def numbered_like_labels(values: list[float]) -> bool:
    """Whether a few values are numbered as people number structures: two or three are those of a mask.

    People number from 0 or 1 on with few gaps, or as FreeSurfer does.
    """
    if len(values) <= MASK or set(values) <= FREESURFER:
        return True
    if any(value != int(value) for value in values):
        return False
    return values[-1] <= max(SMALL_NUMBER, STRIDE * len(values))


def roughness(array: np.ndarray, *, inside: bool = False) -> float:
    """Share of neighbours with different values, among those that are not both 0; `inside`: neither is 0.

    Structures are even inside, so the share is low in a label map and near 1 in an image. It is high in
    thin structures too, and in small ones unless pairs with the background are left out.
    """
    different = shown = 0
    for first, second in neighbours(array):
        counted = (first != 0) & (second != 0) if inside else (first != 0) | (second != 0)
        different += int(np.count_nonzero(counted & (first != second)))
        shown += int(np.count_nonzero(counted))
    return different / shown if shown else 0.0


def _slopes(array: np.ndarray, top: int) -> float:
    """Share of the voxels between 0 and `top` that lie beside both a lower and a higher number."""
    higher, lower = np.zeros(array.shape, bool), np.zeros(array.shape, bool)
    sides = zip(neighbours(array), neighbours(higher), neighbours(lower), strict=True)
    for (first, second), (first_higher, second_higher), (first_lower, second_lower) in sides:
        rises, falls = first < second, first > second
        first_higher |= rises
        second_lower |= rises
        first_lower |= falls
        second_higher |= falls
    between = (array > 0) & (array < top)
    return float((higher & lower)[between].mean()) if between.any() else 0.0


def _rises_slowly(array: np.ndarray) -> bool:
    """Whether values change by steps of 1 almost everywhere, as in a smooth image of few grey levels."""
    steps = [np.abs(second - first) for first, second in neighbours(array)]
    changes = np.concatenate([step[step > 0] for step in steps])
    return changes.size > 0 and float((changes == 1).mean()) > SLOW
