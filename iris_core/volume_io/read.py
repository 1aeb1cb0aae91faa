"""Reading one image or one label, and refusing what cannot be worked with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from iris_core.errors import InputError, PassingError
from iris_core.remarks import remark
from iris_core.volume.even_values import refuse_image
from iris_core.volume.label_values import whole_numbers
from iris_core.volume.placement import Placement
from iris_core.volume.unknown.ignored import ignored_aside
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import dicom, mgh
from iris_core.volume_io.body_size import refuse_wrong_unit
from iris_core.volume_io.dicom_label.kind import is_marked, storage_class
from iris_core.volume_io.dicom_label.load import load as load_dicom_label
from iris_core.volume_io.itk import images as itk
from iris_core.volume_io.itk import seg_nrrd
from iris_core.volume_io.label_header import label_table, why_no_image
from iris_core.volume_io.nifti import images as nifti
from iris_core.volume_io.nifti.label_table import LabelTable
from iris_core.volume_io.not_an_image import NotAnImage
from iris_core.volume_io.one_label import one_label
from iris_core.volume_io.suffix import DICOM, META, MGH, NIFTI, NRRD, PAIR, READABLE, SEGMENTATION, suffix_of


def read_image(path: str | Path, *, channel: int | None = None) -> Volume:
    """Reads a scalar 3D image.

    Args:
        path: .nii, .nii.gz, .hdr with .img, .mgz, .nrrd, .mha, .mhd, a
            DICOM file of several frames, or a folder that holds one DICOM series.
        channel: which channel of a multi-channel file to take, from 0; a file of one channel that no number
            in its name contradicts is taken as it is.

    Raises:
        NotAnImage: the file's header says that it is a segmentation, one of Iris' own for instance.
        InputError: no such file, unreadable, not 3D, several channels and none chosen, a value that is NaN or
            infinite, the same value everywhere, an affine without an inverse, or voxel sizes that no scan of
            a body has.
    """
    path = _existing(path)
    if why := why_no_image(path):
        raise NotAnImage(why, where=path, remedy="give the image that it was made of")
    array, affine, placement = (*dicom.load(path), None) if _is_dicom(path) else _load(path)
    array = _one_channel(array, path, channel)
    if np.iscomplexobj(array):
        raise InputError("holds complex numbers", where=path, remedy="save the magnitude as its own file")
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    volume = Volume(array, affine, source=path, placement=placement)
    if min(volume.shape) < 2:
        raise InputError(
            "is a 2D image", where=path, expected="at least 2 slices", found=f"shape {array.shape}"
        )
    refuse_wrong_unit(volume)
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

    Names and colours are taken from the file where it holds them: Slicer's segment fields, the label table of
    a NIfTI header extension, the segments of a DICOM SEG.

    Args:
        path: .nii, .nii.gz, .mgz, .nrrd, .mha, .mhd, .seg.nrrd with its layers, or a DICOM SEG or its folder.
        labels: value -> name; goes before the names of the file. A 0 in it is ignored. A value named
            "ignore", here or in the file, is no class: its voxels are `LabelVolume.ignored`.

    Raises:
        InputError: no such file, unreadable, not 3D, not whole numbers from 0 on, an image, contours, or an
            affine without an inverse. An empty label is no error here: see `LabelVolume.values`.
    """
    return ignored_aside(_read_label(path, labels))


def _read_label(path: str | Path, labels: Mapping[int, str] | None) -> LabelVolume:
    path = _existing(path)
    names = {int(value): str(name) for value, name in (labels or {}).items() if int(value) != 0}
    suffix = suffix_of(path)
    if path.is_dir() or not suffix:
        return load_dicom_label(path, names)
    table = label_table(path) or LabelTable()
    if suffix in SEGMENTATION or (suffix in (*NRRD, *META) and table.names):
        return seg_nrrd.load(path, names)
    array, affine, placement = _load(path)
    array = whole_numbers(one_label(array, path), path)
    refuse_image(array, path)
    if suffix not in NRRD and array.size and array.min() > 0:
        remark(path, f"has no voxel of value 0, so nothing is background; the smallest is {array.min()}")
    names = {**table.names, **names}
    colors, partial = dict(table.colors), suffix in NRRD
    return LabelVolume(array, affine, names, colors, source=path, partial=partial, placement=placement)


def _is_dicom(path: Path) -> bool:
    return path.is_dir() or (not suffix_of(path) and storage_class(path) is not None)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise InputError("no such file or folder", where=path)
    if path.is_file():
        try:
            with open(path, "rb") as file:
                file.read(1)
        except OSError as error:  # the formats' readers do not tell the file's fault from the disk's
            raise PassingError("cannot be opened", where=path, found=error.strerror) from error
    return path


def _load(path: Path) -> tuple[np.ndarray, np.ndarray, Placement | None]:
    """Array, affine in mm, and what a NIfTI header says of the place."""
    suffix = suffix_of(path)
    if not suffix:
        remedy = "give the folder of the series" if path.suffix.lower() in (*DICOM, "") else None
        raise InputError(
            "unknown kind of file",
            where=path,
            expected=f"{', '.join(READABLE)} or a folder with one DICOM series",
            remedy=remedy,
        )
    if is_marked(path):
        raise InputError(
            "is a DICOM file under the suffix of another format",
            where=path,
            expected=f"what {suffix} stands for",
            remedy="give it the suffix .dcm, and of a series give every file this suffix",
        )
    if suffix in (*NIFTI, *PAIR):
        array, placement = nifti.load(path)
        return array, placement.affine, placement
    return (*(mgh.load(path) if suffix in MGH else itk.load(path)), None)


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
