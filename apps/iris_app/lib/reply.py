"""The answer's file: a fresh temporary one in the format that the viewer asks for; the host deletes it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from apps.iris_app.computing.result_store import Result
from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import write_label
from iris_core.volume_io.itk.images import from_array
from iris_core.volume_io.suffix import WRITABLE

DEFAULT = ".nii.gz"
DTYPES = ("uint8", "uint16", "int16", "int32")


def check_format(request: Mapping[str, object]) -> None:
    """Refuses a format that is not offered, before anything is computed for it.

    Raises:
        InputError: an unknown result_extension, result_dtype or result_compress.
    """
    offered = {"result_extension": WRITABLE, "result_dtype": DTYPES, "result_compress": ("true", "false")}
    for name, words in offered.items():
        value = request.get(name)
        word = str(value).lower() if isinstance(value, bool) else value
        if word not in (None, "") and (not isinstance(word, str) or word not in words):
            offer = f"one of {', '.join(words)}"
            raise InputError(f"Unknown {name.replace('_', ' ')}", where=str(value)[:40], expected=offer)


def write_reply(result: Result, request: Mapping[str, object]) -> str:
    """Writes a result for a viewer.

    Args:
        result: the segmentation; its voxel order is the image's.
        request: may hold result_extension, result_dtype and result_compress, which `check_format` has passed.

    Returns:
        The file.

    Raises:
        InputError: a type that cannot hold the label.
    """
    extension = str(request.get("result_extension") or DEFAULT)
    label = result.label()
    handle, name = tempfile.mkstemp(prefix="iris-", suffix=extension)
    os.close(handle)
    try:
        _write(label, name, request)
    except BaseException:  # nothing half-written stays behind, whatever went wrong
        Path(name).unlink(missing_ok=True)
        raise
    return name


def _write(label: LabelVolume, name: str, request: Mapping[str, object]) -> None:
    if not name.endswith((".nrrd", ".mha")):
        write_label(label, name)
        return
    import SimpleITK as sitk

    array = label.array.astype(_dtype(request.get("result_dtype"), label.array))
    compress = str(request.get("result_compress", "true")).lower() != "false"
    sitk.WriteImage(from_array(array, label.itk_affine), name, useCompression=compress)


def _dtype(wanted: object, array: np.ndarray) -> np.dtype:
    dtype = np.dtype(str(wanted)) if wanted in DTYPES else array.dtype
    if int(array.max(initial=0)) > np.iinfo(dtype).max:
        raise InputError("Too many classes for the type asked for", where="result_dtype", found=dtype.name)
    return dtype
