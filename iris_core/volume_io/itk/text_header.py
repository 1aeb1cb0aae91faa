"""The text header of an NRRD or MetaImage file, what it states of units and of the place of voxels."""

from __future__ import annotations

import re
from pathlib import Path

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume_io.suffix import META, suffix_of

HEADER_LIMIT = 4 << 20  # bytes of a text header; a thousand segments take less than one of these four MB
PART = 1 << 16  # bytes that are read at a time
HEADER_ENDS = (b"\n\n", b"\r\n\r\n", b"ElementDataFile")
UNITS = re.compile(
    r"^(space units|units|DistanceUnits|ElementDistanceUnits)\s*(?::(?!=)|=)\s*(.*?)\s*$", re.M | re.I
)
UNIT = re.compile(r'"([^"]*)"|(\S+)')
MILLIMETRES = ("", "?", "???", "none", "mm", "millimeter", "millimeters", "millimetre", "millimetres")
SCALES = re.compile(
    r"^(ElementToIntensityFunction(?:Slope|Offset)|old ?m(?:in|ax))\s*[=:]\s*([-+.\deE]+)\s*$", re.M
)
#: Units of length that an NRRD axis may state; its other units are those of time and the like.
OTHER_LENGTH = re.compile(r"[nuµμcdk]?m|in|inch(es)?|\w*(met(er|re)s?|micron)s?", re.I)
SPACING, TURN = ("ElementSpacing", "ElementSize"), ("TransformMatrix", "Orientation", "Rotation")


def text_header(path: Path) -> str:
    """The header of an NRRD or MetaImage file; "" where none ends within the limit."""
    head = b""
    try:
        with open(path, "rb") as file:
            while len(head) < HEADER_LIMIT:
                part = file.read(PART)
                head += part
                ends = [at for mark in HEADER_ENDS if (at := head.find(mark)) >= 0]
                if ends or not part:  # a header whose voxels lie in another file may end with the file
                    return head[: min(ends, default=len(head))].decode("utf-8", "replace")
    except OSError:
        return ""
    return ""


def refuse_other_units(path: Path) -> None:
    """Refuses a file whose header states lengths in another unit than mm; ITK passes over that field.

    Raises:
        InputError: as the first line says.
    """
    for field, text in UNITS.findall(text_header(path)):
        for quoted, plain in UNIT.findall(text):
            unit = quoted.strip() or plain
            axis = field.lower() == "units"  # of any axis, of time too
            if unit.lower() in MILLIMETRES or (axis and not OTHER_LENGTH.fullmatch(unit)):
                continue
            raise InputError(
                "states lengths in another unit than mm",
                where=path,
                expected=f"{field} mm",
                found=unit,
                remedy="convert the file to mm: its spacing, its directions and its origin",
            )


def doubt_place(path: Path) -> None:
    """Remarks on a MetaImage file without voxel size or orientation, and on a scale that ITK passes over."""
    header = text_header(path)
    for field, text in SCALES.findall(header):
        if float(text) != (1 if field.endswith("Slope") else 0):
            remark(
                path, f"states {field} {text}, which ITK passes over; its values are taken as they are stored"
            )
    if suffix_of(path) not in META:
        return
    missing = [
        word
        for word, fields in (("voxel size", SPACING), ("orientation", TURN))
        if not re.search(rf"^({'|'.join(fields)})\s*=", header, re.M)
    ]
    if missing:
        remark(
            path,
            f"states no {' and no '.join(missing)}; ITK's guess is taken "
            "(voxels of 1 mm, x to the left, y to the back)",
        )
