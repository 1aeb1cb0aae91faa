"""Of a label file with more than three axes: the one label map in it, or a refusal with a way out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.label_values import TOLERANCE, nibabel_command
from iris_core.volume_io.suffix import MGH, NIFTI, suffix_of

EXPORT = "export it again as one 3D label map with a whole number a voxel"


def one_label(array: np.ndarray, path: Path) -> np.ndarray:
    """(I, J, K) of an array whose further axes all have length 1.

    Args:
        array: (I, J, K, ...) numbers.
        path: the file that an error names.

    Raises:
        InputError: a 2D image, or a file with several volumes: classes one-hot or as probabilities, a colour
            picture, or a series.
    """
    if array.ndim < 3:
        raise InputError("is a 2D image", where=path, expected="a volume", found=f"shape {array.shape}")
    flat = array.reshape(*array.shape[:3], -1)
    if flat.shape[-1] == 1:
        return flat[..., 0]
    count = flat.shape[-1]
    if _is_one_hot_of_255(flat):
        raise _channels(flat // 255, "one-hot label", path)
    if _is_colour(flat):
        raise InputError(
            "is a colour picture",
            where=path,
            expected="one number a voxel",
            found=f"{count} colour channels",
            remedy=f"{EXPORT} (Slicer: Segmentations, Export to labelmap; ITK-SNAP: Save segmentation)",
        )
    if kind := _shares(flat):
        raise _channels(flat, kind, path)
    in_nifti = suffix_of(path) in (*NIFTI, *MGH)
    remedy = f"take one of them, e.g. the first: {nibabel_command(path, 'a[..., 0]')}" if in_nifti else EXPORT
    raise InputError(
        f"has {count} volumes",
        where=path,
        expected="one 3D label map",
        found=f"shape {array.shape}",
        remedy=remedy,
    )


def _is_colour(flat: np.ndarray) -> bool:
    return flat.shape[-1] in (3, 4) and flat.dtype == np.uint8 and int(flat.max(initial=0)) > 1


def _is_one_hot_of_255(flat: np.ndarray) -> bool:
    """Whether channels hold 0 and 255 alone, two or more are used, and no voxel has two of them."""
    if flat.dtype.kind not in "ui" or flat.max(initial=0) != 255 or ((flat != 0) & (flat != 255)).any():
        return False
    shown = flat != 0
    return bool(shown.sum(-1).max() == 1 and shown.any((0, 1, 2)).sum() > 1)


def _shares(flat: np.ndarray) -> str | None:
    """What the channels hold: zeros and ones, or shares between them; None for anything else."""
    if flat.dtype.kind not in "buif" or not np.isfinite(flat).all():
        return None
    if flat.min() < -TOLERANCE or flat.max() > 1 + TOLERANCE:
        return None
    whole = flat.dtype.kind != "f" or bool((np.abs(flat - np.rint(flat)) <= TOLERANCE).all())
    return "one-hot label" if whole else "probability map"


def _sums_to_one(flat: np.ndarray, axis: int) -> bool:
    """Whether every voxel's numbers along an axis add up to 1: then the background is one of them."""
    return bool(np.abs(flat.sum(axis=axis, dtype=np.float64) - 1).max() <= TOLERANCE)


def _channels(flat: np.ndarray, kind: str, path: Path) -> InputError:
    """A refusal of one channel a class, along the last axis, or the first where that alone adds up to 1."""
    axis = 0 if _sums_to_one(flat, 0) and not _sums_to_one(flat, -1) else -1
    count = flat.shape[axis]
    if _sums_to_one(flat, axis):
        change = f"a.argmax({axis})"
    else:
        change = f"((a.max({axis}) > 0.5) * (1 + a.argmax({axis})))"
    in_nifti = suffix_of(path) in (*NIFTI, *MGH)
    number = "save the number of the strongest channel"
    remedy = f"{number}, e.g. {nibabel_command(path, change)}" if in_nifti else EXPORT
    where = "last" if axis == -1 else "first"
    return InputError(
        f"is a {kind} with a channel for each class",
        where=path,
        expected="one 3D label map with a whole number for each class",
        found=f"{count} channels along the {where} axis",
        remedy=remedy,
    )
