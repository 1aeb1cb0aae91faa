"""The stored values of a DICOM file, before any rescaling, and whatever its photometric interpretation.

Pixels that are stored plainly are taken from the file; compressed ones are decoded by SimpleITK's GDCM from a
copy that holds nothing but the pixels, so that GDCM neither rescales nor inverts them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io.dicom.files import UNREADABLE, damaged
from iris_core.volume_io.itk import images as itk

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

BIG_ENDIAN = "1.2.840.10008.1.2.2"
PLAIN_SYNTAXES = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", BIG_ENDIAN)
PIXEL_ELEMENTS = (
    "SOPInstanceUID", "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip
#: Secondary capture, one frame and several: objects that state no rescaling.
CAPTURE, CAPTURES = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.7.3"


def stored_values(file: Path) -> np.ndarray:
    """Reads the pixels of a file.

    Returns:
        (frames, rows, columns) as stored: integers, or floating point where the file holds such.

    Raises:
        InputError: no pixels, fewer than the header states, or a compression that cannot be decoded.
    """
    import pydicom

    try:
        dataset = pydicom.dcmread(file, force=True)
        floats = _floats(dataset)
        if floats is not None:
            return floats
        if "PixelData" not in dataset:
            raise ValueError("no pixel data")
        if _is_plain(dataset):
            return _plain(dataset)
    except UNREADABLE as error:
        raise damaged(file, error) from error
    return _decoded(dataset, file)


def _syntax(dataset: Dataset) -> str:
    """The transfer syntax; implicit little endian where a file states none."""
    meta = getattr(dataset, "file_meta", None)
    return str(getattr(meta, "TransferSyntaxUID", "") or PLAIN_SYNTAXES[0])


def _named(syntax: str) -> str:
    """A transfer syntax in words, with its number."""
    from pydicom.uid import UID

    name = UID(syntax).name
    return f"transfer syntax {syntax}" + (f", {name}" if name != syntax else "")


def _is_plain(dataset: Dataset) -> bool:
    bits, syntax = int(dataset.BitsAllocated), _syntax(dataset)
    return syntax in PLAIN_SYNTAXES and bits in (8, 16, 32) and not (bits == 8 and syntax == BIG_ENDIAN)


def _shape(dataset: Dataset) -> tuple[int, int, int]:
    return int(dataset.get("NumberOfFrames", 1) or 1), int(dataset.Rows), int(dataset.Columns)


def _floats(dataset: Dataset) -> np.ndarray | None:
    """Pixels in floating point, as parametric maps have them; None where there are none."""
    for name, kind in (("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")):
        if name in dataset:
            return _reshaped(dataset, dataset[name].value, kind)
    return None


def _plain(dataset: Dataset) -> np.ndarray:
    """Pixels that are stored one after the other; bits that are not theirs (overlays) are cut off."""
    bits, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored", 0) or dataset.BitsAllocated)
    signed = int(dataset.get("PixelRepresentation", 0) or 0) == 1
    values = _reshaped(dataset, dataset.PixelData, f"{'i' if signed else 'u'}{bits // 8}")
    if stored < bits:
        high = int(dataset.get("HighBit", stored - 1))
        values = values << (bits - 1 - high)  # the sign arrives at the top, so that the way back keeps it
        values = values >> (bits - stored)
    return values


def _reshaped(dataset: Dataset, data: bytes, kind: str) -> np.ndarray:
    """(frames, rows, columns) of raw bytes, in this machine's byte order."""
    shape = _shape(dataset)
    dtype = np.dtype(kind).newbyteorder(">" if _syntax(dataset) == BIG_ENDIAN else "<")
    count = int(np.prod(shape))
    if len(data) < count * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes of pixels where {count * dtype.itemsize} are stated")
    values = np.frombuffer(data, dtype, count).reshape(shape)
    return values.astype(dtype.newbyteorder("="), copy=False)


def _decoded(dataset: Dataset, file: Path) -> np.ndarray:
    """Compressed pixels, decoded by GDCM."""
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pixels.dcm"
        try:
            _write_pixels(dataset, copy)
            with itk.quiet():
                values = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))
        except (RuntimeError, ValueError, KeyError, AttributeError, OSError, TypeError) as error:
            raise InputError(
                "cannot be decoded",
                where=file,
                expected="pixels that are not compressed, or by RLE, JPEG, JPEG-LS or JPEG 2000",
                found=_named(_syntax(dataset)),
                remedy="store the series without compression (gdcmconv --raw; DCMTK: dcmdjpeg, dcmdjpls)",
            ) from error
    return values.reshape(-1, *values.shape[-2:])


def _write_pixels(dataset: Dataset, path: Path) -> None:
    """A file with the pixels alone, under either pydicom."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.MediaStorageSOPClassUID = UID(CAPTURES if _shape(dataset)[0] > 1 else CAPTURE)
    copy = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    copy.SOPClassUID = meta.MediaStorageSOPClassUID
    for name in PIXEL_ELEMENTS:
        if name in dataset:
            copy.add(dataset[name])
    meta.MediaStorageSOPInstanceUID = copy.SOPInstanceUID
    copy.PhotometricInterpretation = "MONOCHROME2"
    if int(pydicom.__version__.split(".")[0]) >= 3:
        copy.save_as(path, enforce_file_format=True)
    else:
        copy.is_little_endian = _syntax(dataset) != BIG_ENDIAN
        copy.is_implicit_VR = _syntax(dataset) == PLAIN_SYNTAXES[0]
        copy.save_as(path, write_like_original=False)
