"""Reading one image or one label, and refusing what cannot be worked with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.label_values import whole_numbers
from iris_core.volume import LabelVolume, Volume
from iris_core.volume_io import dicom, itk, nifti, seg_nrrd
from iris_core.volume_io.suffix import NIFTI, NRRD, READABLE, SEGMENTATION, suffix_of


def read_image(path: str | Path, *, channel: int | None = None) -> Volume:
    """Reads a scalar 3D image.

    Args:
        path: .nii, .nii.gz, .nrrd, .mha, .mhd, or a folder that holds one DICOM series.
        channel: which channel of a multi-channel file to take, from 0; a file of one channel that no number
            in its name contradicts is taken as it is.

    Raises:
        InputError: no such file, unreadable, not 3D, several channels and none chosen, a value that is NaN or
            infinite, the same value everywhere, or an affine without an inverse.
    """
    path = _existing(path)
    array, affine = dicom.load(path) if path.is_dir() else _load(path)
    array = _one_channel(array, path, channel)
    if np.iscomplexobj(array):
        raise InputError("holds complex numbers", where=path, remedy="save the magnitude as its own file")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    volume = Volume(array, affine, path)
    if min(volume.shape) < 2:
        raise InputError(
            "is a 2D image", where=path, expected="at least 2 slices", found=f"shape {array.shape}"
        )
    broken = array.size - int(np.isfinite(array).sum())
    if broken:
        raise InputError(
            "holds values that are NaN or infinite",
            where=path,
            found=f"{broken} of {array.size} voxels",
            remedy="replace them, for example by 0",
        )
    if array.min() == array.max():
        raise InputError(
            "has the same value everywhere", where=path, expected="an image", found=f"only {array.flat[0]:g}"
        )
    return volume


def read_label(path: str | Path, *, labels: Mapping[int, str] | None = None) -> LabelVolume:
    """Reads a segmentation.

    Args:
        path: .nii, .nii.gz, .nrrd, .mha, .mhd, or .seg.nrrd with its names, colours and layers.
        labels: value -> name; goes before the names of the file. A 0 in it is ignored.

    Raises:
        InputError: no such file, unreadable, not 3D, not whole numbers from 0 on, or an affine without an
            inverse. An empty label is no error here: see `LabelVolume.values`.
    """
    path = _existing(path)
    if path.is_dir():
        raise InputError(
            "is a folder", where=path, expected="a label file", remedy=f"one of {', '.join(READABLE)}"
        )
    names = {int(value): str(name) for value, name in (labels or {}).items() if int(value) != 0}
    if suffix_of(path) in SEGMENTATION:
        return seg_nrrd.load(path, names)
    array, affine = _load(path)
    array = whole_numbers(_one_channel(array, path, None), path)
    return LabelVolume(array, affine, names, source=path, partial=suffix_of(path) in NRRD)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", where=path)
    return path


def _load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    suffix = suffix_of(path)
    if not suffix:
        remedy = "give the folder of the series" if path.suffix.lower() in (".dcm", ".ima", "") else None
        raise InputError(
            "unknown kind of file",
            where=path,
            expected=f"{', '.join(READABLE)} or a folder with one DICOM series",
            remedy=remedy,
        )
    return nifti.load(path) if suffix in NIFTI else itk.load(path)


def _one_channel(array: np.ndarray, path: Path, channel: int | None) -> np.ndarray:
    """(I, J, K) of an array (I, J, K, ...); trailing axes of length 1 are dropped, the rest are channels."""
    spatial = array.shape[:3]
    if len(spatial) < 3:
        raise InputError("is a 2D image", where=path, expected="a volume", found=f"shape {array.shape}")
    channels = array.reshape(*spatial, -1)
    count = channels.shape[-1]
    if count == 1:
        named = re.search(r"_(\d{4})(\.|$)", path.name)  # nnU-Net keeps one channel a file: CASE_0001.nii.gz
        if channel in (None, 0) or not named or int(named[1]) == channel:
            return channels[..., 0]
    elif channel is None:
        raise InputError(
            "has several channels or time points",
            where=path,
            expected="one 3D volume",
            found=f"shape {array.shape}",
            remedy="choose one with the channel option, or split the file",
        )
    if not 0 <= channel < count:
        raise InputError("no such channel", where=path, expected=f"0 to {count - 1}", found=channel)
    return channels[..., channel]
