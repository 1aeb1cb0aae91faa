"""What kind of object a DICOM file holds, in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.errors import InputError
from iris_core.volume_io.dicom_label.kind import is_image

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Modality -> what it is; objects that have no image of their own.
KINDS = {
    "SEG": "a DICOM SEG (segmentation)",
    "RTSTRUCT": "an RTSTRUCT (contours)",
    "RTDOSE": "an RTDOSE (dose grid)",
    "RTPLAN": "an RTPLAN (treatment plan)",
    "RTRECORD": "an RTRECORD (treatment record)",
    "SR": "a structured report",
    "PR": "a presentation state",
    "KO": "a key object selection",
    "REG": "a registration",
    "FID": "a set of fiducials",
    "DOC": "a document",
    "PLAN": "a plan",
    "SURF": "a surface",
}


def holds_pixels(header: Dataset, file: Path) -> bool:
    """Whether a header belongs to an image.

    Raises:
        InputError: it does, by its class, and yet has no size: the file is cut short.
    """
    from pydicom.uid import UID

    uid = UID(str(header.get("SOPClassUID", "")))
    if str(header.get("Modality", "")) in KINDS or not is_image(uid):
        return False
    sized = bool(header.get("Rows") and header.get("Columns"))
    if not sized and (not uid or "Image Storage" in uid.name):
        raise InputError(
            "is a DICOM image without rows and columns",
            where=file,
            remedy="the file is damaged or cut short; copy it again, or take it out of the folder",
        )
    return sized


def describe_kind(header: Dataset) -> str:
    """What a file without an image holds, with its article."""
    modality = str(header.get("Modality", ""))
    if modality in KINDS:
        return KINDS[modality]
    from pydicom.uid import UID

    uid = UID(str(header.get("SOPClassUID", "")))
    name = uid.name if uid else ""
    return f"an object of the class {name}" if name else "a DICOM object without pixels"
