"""What a DICOM file holds: the storage class in its first elements, read without any DICOM library.

Files as scanners and archives export them begin with a preamble and DICOM's mark. Old ones, and those that
were taken from a network as they came, begin with their first element.
"""

from __future__ import annotations

import struct
from pathlib import Path

PREAMBLE, MARK = 128, b"DICM"
CLASSES = ((0x0002, 0x0002), (0x0008, 0x0016))  # Media Storage SOP Class UID, SOP Class UID
LONG = (b"OB", b"OW", b"OF", b"SQ", b"UN", b"UT")  # value types whose length takes four bytes
#: Elements that a file without a preamble may begin with, and how long their values can be.
FIRST_LENGTHS = {(0x0002, 0x0000): (4, 4), (0x0008, 0x0000): (4, 4), (0x0008, 0x0001): (4, 4),
                 (0x0008, 0x0005): (2, 96), (0x0008, 0x0008): (2, 96), (0x0008, 0x0012): (8, 8),
                 (0x0008, 0x0016): (8, 64), (0x0008, 0x0018): (8, 64)}  # fmt: skip
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
        None for a file that is not DICOM or cannot be read; "" where its first elements name no class.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(PREAMBLE + 4096)
    except OSError:
        return None
    marked = head[PREAMBLE : PREAMBLE + 4] == MARK
    if not marked and not _begins_with_an_element(head):
        return None
    at = PREAMBLE + 4 if marked else 0
    for _ in range(ELEMENTS):
        if at + 8 > len(head):
            break
        group, element, kind = struct.unpack_from("<HH2s", head, at)
        lead, length = _length(head, at, kind)
        if at + lead > len(head) or group > CLASSES[-1][0]:
            break
        if (group, element) in CLASSES:
            return head[at + lead : at + lead + length].rstrip(b"\x00 ").decode("ascii", "replace")
        at += lead + length
    return ""


def is_marked(path: Path) -> bool:
    """Whether a file begins with a preamble and DICOM's mark; False where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(PREAMBLE + len(MARK))[PREAMBLE:] == MARK
    except OSError:
        return False


def _length(head: bytes, at: int, kind: bytes) -> tuple[int, int]:
    """Bytes before an element's value, and of the value; without a value type the length takes four bytes."""
    if not kind.isalpha() or not kind.isupper():
        return 8, struct.unpack_from("<I", head, at + 4)[0]
    if kind in LONG:
        return 12, struct.unpack_from("<I", head, at + 8)[0] if at + 12 <= len(head) else 0
    return 8, struct.unpack_from("<H", head, at + 6)[0]


def _begins_with_an_element(head: bytes) -> bool:
    """Whether a file without a preamble begins with one of the elements that DICOM files begin with."""
    if len(head) < 16:
        return False
    group, element, kind = struct.unpack_from("<HH2s", head, 0)
    limits = FIRST_LENGTHS.get((group, element))
    if limits is None:
        return False
    return limits[0] <= _length(head, 0, kind)[1] <= limits[1]


def is_image(uid: str) -> bool:
    """Whether files of this storage class hold pixels of an image."""
    return not any(uid == known or uid.startswith(f"{known}.") for known in NO_IMAGES)
