"""Why one entry of a folder is no image: the sentence that a run says of everything that it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iris_core.volume_io.dicom import holds_dicom
from iris_core.volume_io.dicom.files import UNREADABLE
from iris_core.volume_io.dicom_label.kind import is_image, storage_class
from iris_core.volume_io.label_header import why_no_image
from iris_core.volume_io.suffix import READABLE, SEGMENTATION, suffix_of

SLICE_SUFFIXES = ("", ".dcm", ".ima")  # of the files of a series; with another suffix DICOM's mark decides
#: a series of its own: so many slices at least, and more than there are images of other kinds in its folder
SERIES = 2
NUMBER_OF_FRAMES = 0x00280008


@dataclass(frozen=True)
class LeftOut:
    """An entry of a folder that is not segmented.

    Attributes:
        path: of the entry.
        reason: goes on after the path.
    """

    path: Path
    reason: str


def why_left_out(path: Path) -> str | None:
    """Why an entry of a folder of images is none; None for an image file and for a folder with a series."""
    if path.name.startswith("."):
        return "is hidden"
    if not path.exists():
        return "is a link that leads nowhere"
    if path.is_dir():
        return _why_no_series(path)
    if not path.is_file():
        return "is no file"
    suffix = suffix_of(path)
    if suffix in SEGMENTATION:
        return why_no_image(path) or "is a segmentation, not an image"
    if suffix in READABLE:
        return why_no_image(path)
    uid = storage_class(path)
    if uid is not None:
        beside = "is a DICOM file beside other images; a series needs a folder of its own"
        return beside if is_image(uid) else _object(uid)
    return "is of no kind that is read as an image"


def dicom_images(entries: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files that hold pixels of a DICOM image: those of one slice, and those of several frames."""
    slices: list[Path] = []
    several: list[Path] = []
    for path in entries:
        if suffix_of(path) or path.name.startswith(".") or not path.is_file():
            continue
        uid = storage_class(path)
        if uid is not None and is_image(uid):
            (several if _frames(path) > 1 else slices).append(path)
    return slices, several


def _frames(path: Path) -> int:
    """How many frames a DICOM image states; 1 where it cannot be read, which its reading will say."""
    from pydicom.filereader import read_partial

    try:
        with open(path, "rb") as file:
            header = read_partial(file, lambda tag, *_: tag > NUMBER_OF_FRAMES, force=True)
        return int(header.get("NumberOfFrames", 1) or 1)
    except UNREADABLE:
        return 1


def beside_series(entries: Sequence[Path]) -> list[LeftOut]:
    """The entries of a series' folder that are no part of it."""
    found = [(path, _why_no_slice(path)) for path in entries]
    return [LeftOut(path, reason) for path, reason in found if reason]


def _why_no_slice(path: Path) -> str | None:
    if path.name.startswith("."):
        return "is hidden"
    if path.is_dir():
        return "is a folder beside a DICOM series, and the series is the image of its folder"
    if not path.is_file():
        return "is no file"
    if suffix_of(path):
        beside = "lies beside a DICOM series, and the series is the image of its folder"
        return why_no_image(path) or beside
    uid = storage_class(path)
    if uid is None:
        return None if path.suffix.lower() in SLICE_SUFFIXES else "is no DICOM file"
    return None if is_image(uid) else _object(uid)


def _object(uid: str) -> str:
    """Why a DICOM object is no image; `uid` is its storage class, which is none of an image."""
    from pydicom.uid import UID

    return f"is a DICOM file without an image ({UID(uid).name.removesuffix(' Storage')})"


def _why_no_series(path: Path) -> str | None:
    try:
        if holds_dicom(path):
            return None
        inside = sorted(path.iterdir())
    except OSError as error:
        return f"is a folder that cannot be opened ({error.strerror})"
    if any(one.is_dir() or suffix_of(one) for one in inside if not one.name.startswith(".")):
        return "is a folder without a DICOM series; what lies in it needs a run of its own"
    return "is a folder without an image"
