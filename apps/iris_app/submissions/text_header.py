"""The headers of NRRD and MetaImage labels, which are lines of text before the voxels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from apps.iris_app.submissions.label_header import LabelHeader
from iris_core.errors import InputError
from iris_core.volume_io.itk import images as itk
from iris_core.volume_io.itk.text_header import refuse_other_units
from iris_core.volume_io.suffix import META, SEGMENTATION, suffix_of

MOST = 1 << 20  # bytes of a header
NRRD_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4",
    "MET_UINT": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip


def text_header(path: Path) -> LabelHeader:
    """The facts of an NRRD or MHA label.

    Raises:
        InputError: damaged, voxels in another file, an unusual encoding, lengths in another unit than mm, or
            more or fewer than three axes.
    """
    refuse_other_units(path)
    return _meta(path) if suffix_of(path) in META else _nrrd(path)


def itk_grid(path: Path) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape and affine, (4, 4) voxel -> RAS+ mm, of a file that ITK reads; its voxels are left alone.

    Raises:
        InputError: the header cannot be read, or is of a 2D image.
    """
    reader = itk.reader_of(path)
    try:
        with itk.quiet():
            reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError("cannot be read", where=path, found=itk.reason(error)) from error
    axes = reader.GetDimension()
    if axes < 3:
        raise InputError("is a 2D image", where=path, expected="a volume", found=f"size {reader.GetSize()}")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (axes, axes))[:3, :3] * reader.GetSpacing()[:3]
    affine[:3, 3] = reader.GetOrigin()[:3]
    affine = itk.LPS_TO_RAS @ affine
    if not np.isfinite(affine).all() or not np.linalg.det(affine[:3, :3]):
        raise InputError("the affine does not place the voxels in space", where=path)
    size = reader.GetSize()
    return (size[0], size[1], size[2]), affine


def _nrrd(path: Path) -> LabelHeader:
    text, offset = _head(path, b"\n\n", b"\r\n\r\n")
    lines = text.splitlines()
    if not lines or not lines[0].startswith("NRRD"):
        raise InputError("cannot be read as NRRD", where=path, found="another kind of file")
    fields = _fields((line for line in lines[1:] if not line.startswith("#") and ":=" not in line), ":", path)
    away = sorted(fields.keys() & {"datafile", "lineskip", "byteskip"})
    if away:
        raise InputError(
            "names another file or place for its voxels", where=path, found=away[0],
            remedy="save it as one file, header and voxels together",
        )  # fmt: skip
    sizes = _numbers(fields.get("sizes", ""), path)
    segments = suffix_of(path) in SEGMENTATION or "Segment0_" in text
    if len(sizes) == 4 and (segments or sizes[0] == 1):
        layers, shape = sizes[0], sizes[1:]
        if layers > max(1, declared := _segments(lines)):
            raise InputError(
                "has more layers than segments", where=path, expected=f"at most {declared}",
                found=f"{layers} layers", remedy="save the segmentation again",
            )  # fmt: skip
    elif len(sizes) == 3:
        layers, shape = 1, sizes
    else:
        raise InputError("is not one 3D volume", where=path, expected="three axes", found=f"sizes {sizes}")
    packing = {"raw": "", "gzip": "gzip", "gz": "gzip"}.get(fields.get("encoding", "").lower())
    if packing is None:
        raise InputError(
            "has an encoding that is not accepted", where=path, expected="raw or gzip",
            found=fields.get("encoding"), remedy="save it again with gzip",
        )  # fmt: skip
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    dtype = _dtype(NRRD_TYPES, fields.get("type", "").lower(), order, path)
    affines = (itk_grid(path)[1],)
    return LabelHeader(path, _three(shape), layers, dtype, offset, packing, (1.0, 0.0), affines, partial=True)


def _segments(lines: list[str]) -> int:
    """How many segments the header describes."""
    return len({hit[1] for line in lines if (hit := re.match(r"Segment(\d+)_\w+:=", line))})


def _meta(path: Path) -> LabelHeader:
    text, offset = _head(path, b"ElementDataFile = LOCAL\n", b"ElementDataFile = LOCAL\r\n")
    fields = _fields(text.splitlines(), "=", path)
    if fields.get("elementdatafile") != "LOCAL" or int(fields.get("headersize", "0") or 0):
        raise InputError("names another place for its voxels", where=path, remedy="save it as one .mha file")
    if fields.get("elementnumberofchannels", "1") != "1":
        raise InputError("has several channels", where=path, expected="one 3D volume")
    if fields.get("binarydata", "True").lower() != "true":
        raise InputError("holds its voxels as text", where=path, expected="binary data")
    shape = _numbers(fields.get("dimsize", ""), path)
    if len(shape) != 3:
        raise InputError("is not one 3D volume", where=path, expected="three axes", found=f"sizes {shape}")
    big = [fields.get(name, "False").lower() for name in ("binarydatabyteordermsb", "elementbyteordermsb")]
    dtype = _dtype(META_TYPES, fields.get("elementtype", ""), ">" if "true" in big else "<", path)
    packing = "zlib" if fields.get("compresseddata", "False").lower() == "true" else ""
    affines = (itk_grid(path)[1],)
    return LabelHeader(path, _three(shape), 1, dtype, offset, packing, (1.0, 0.0), affines, partial=False)


def _head(path: Path, *ends: bytes) -> tuple[str, int]:
    """The header's text with its last line, and the byte at which the voxels begin."""
    with open(path, "rb") as file:
        start = file.read(MOST)
    found = [(start.find(end), len(end)) for end in ends]
    found = [(where, size) for where, size in found if where >= 0]
    if not found:
        raise InputError(
            "has no end of its header", where=path, expected="a header in front of voxels in the same file"
        )
    where, size = min(found)
    return start[: where + size].decode("utf-8", "replace"), where + size


def _fields(lines: Iterable[str], mark: str, path: Path) -> dict[str, str]:
    """Lower-case name without blanks -> value; a name that stands twice is refused."""
    fields: dict[str, str] = {}
    for line in lines:
        name, found, value = line.partition(mark)
        name = "".join(name.split()).lower()
        if not found:
            continue
        if name in fields:
            raise InputError("states a header field twice", where=path, found=name[:40])
        fields[name] = value.strip()
    return fields


def _numbers(text: str, path: Path) -> list[int]:
    words = text.split()
    if not words or not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise InputError("has no usable size", where=path, found=text[:40] or "none")
    return [int(word) for word in words]


def _three(shape: list[int]) -> tuple[int, int, int]:
    return shape[0], shape[1], shape[2]


def _dtype(known: dict[str, str], name: str, order: str, path: Path) -> np.dtype:
    if name not in known:
        found = f"voxels of {name[:40] or '?'}"
        raise InputError("holds no plain numbers", where=path, expected="one per voxel", found=found)
    return np.dtype(order + known[name])
