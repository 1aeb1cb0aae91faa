"""What a DICOM file holds: the storage class in its file header, read without any DICOM library."""

from __future__ import annotations

import struct
from pathlib import Path

PREAMBLE, MARK = 128, b"DICM"
MEDIA_CLASS = (0x0002, 0x0002)  # Media Storage SOP Class UID
LONG = (b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT")  # value types whose length takes four bytes
ELEMENTS = 32  # of the file header that are looked through
SEG, LABEL_MAP, CONTOURS = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.481.3",
)
SEGMENTATIONS = (SEG, LABEL_MAP)
#: storage classes (or what they begin with) of objects that are no image of their own
NO_IMAGES = (
    *SEGMENTATIONS,
    "1.2.840.10008.1.3.10",  # DICOMDIR
    "1.2.840.10008.5.1.4.1.1.66",  # raw data, registrations, fiducials, surfaces
    "1.2.840.10008.5.1.4.1.1.481",  # radiotherapy
    "1.2.840.10008.5.1.4.1.1.88",  # structured reports
    "1.2.840.10008.5.1.4.1.1.11",  # presentation states
    "1.2.840.10008.5.1.4.1.1.104",  # documents
)


def storage_class(path: Path) -> str | None:
    """The UID of what a file holds.

    Returns:
        None for a file without DICOM's mark or that cannot be read; "" where the header names no class.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(PREAMBLE + 4096)
    except OSError:
        return None
    if head[PREAMBLE : PREAMBLE + 4] != MARK:
        return None
    at = PREAMBLE + 4
    for _ in range(ELEMENTS):  # the file header is always explicit little endian (PS3.10, 7.1)
        if at + 8 > len(head):
            break
        group, element, kind = struct.unpack_from("<HH2s", head, at)
        if group != MEDIA_CLASS[0]:
            break
        lead = 12 if kind in LONG else 8
        if at + lead > len(head):
            break
        form = "<I" if kind in LONG else "<H"
        (length,) = struct.unpack_from(form, head, at + lead - struct.calcsize(form))
        if element == MEDIA_CLASS[1]:
            return head[at + lead : at + lead + length].rstrip(b"\x00 ").decode("ascii", "replace")
        at += lead + length
    return ""


def is_image(uid: str) -> bool:
    """Whether files of this storage class hold pixels of an image."""
    return not any(uid == known or uid.startswith(f"{known}.") for known in NO_IMAGES)
