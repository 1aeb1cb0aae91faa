"""The files of one DICOM series: found by what they hold, with or without DICOM's preamble."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume_io.dicom.kinds import describe_kind, holds_pixels
from iris_core.volume_io.dicom_label.kind import storage_class
from iris_core.volume_io.suffix import DICOM, suffix_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: What pydicom raises on a damaged file.
UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, AttributeError, TypeError, NotImplementedError, struct.error,
)  # fmt: skip
#: What all files of a series share, beside its UID, which old exports leave empty or give twice.
SHARED = ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID")
OF_A_SLICE = ("ImagePositionPatient", "SliceLocation", "InstanceNumber")
LISTED = 3  # files that a message names


def holds_dicom(folder: Path) -> bool:
    """Whether a DICOM file lies directly in a folder."""
    return any(storage_class(path) is not None for path in _candidates(folder))


#: What a series has of its own -> the values; then the headers of its files, in the order of their names.
Series = dict[tuple[str, ...], dict[Path, "Dataset"]]


def image_series(path: Path) -> tuple[tuple[str, ...], Series]:
    """The headers of the image series in a folder or a file, without pixels.

    A file that is there twice (one SOP instance UID, one place) counts once.

    Returns:
        The names of what tells series apart, and the series by their values of these; at least one.

    Raises:
        InputError: there is no image, or a file cannot be read.
    """
    files = _candidates(path) if path.is_dir() else [path]
    headers = {file: header(file) for file in files if storage_class(file) is not None}
    images = {file: one for file, one in headers.items() if holds_pixels(one, file)}
    if not images:
        raise _no_image(path, headers)
    _refuse_broken([file for file in files if file not in headers])
    names = ("SeriesInstanceUID", *_shared_names(images))
    series: Series = {}
    for file, one in _without_copies(images, path).items():
        series.setdefault(tuple(_text(one, name) for name in names), {})[file] = one
    return names, series


def header(file: Path) -> Dataset:
    """A file's elements up to its pixels.

    Raises:
        InputError: it cannot be read.
    """
    import pydicom

    try:
        return pydicom.dcmread(file, stop_before_pixels=True, force=True)
    except UNREADABLE as error:
        raise damaged(file, error) from error


def damaged(file: Path, error: Exception) -> InputError:
    """The refusal of a file that pydicom cannot read, with an error of `UNREADABLE`."""
    return InputError(
        "cannot be read as DICOM",
        where=file,
        found=str(error) or type(error).__name__,
        remedy="the file is damaged or cut short; copy it again",
    )


def named(files: list[Path] | tuple[Path, ...]) -> str:
    """The names of the first files, and how many more there are."""
    shown = ", ".join(file.name for file in files[:LISTED])
    return shown if len(files) <= LISTED else f"{shown} and {len(files) - LISTED} more"


def _refuse_broken(files: list[Path]) -> None:
    """Refuses what is a slice by name and none by content: without it a volume would be short of slices.

    A file without a suffix may be anything, so it is left out with a warning.
    """
    for file in files:
        if file.suffix.lower() in DICOM:
            raise InputError(
                "is no DICOM file, in spite of its name",
                where=file,
                expected="a slice of the series that it lies in",
                found=f"{file.stat().st_size} bytes",
                remedy="the file is damaged or cut short; copy it again, or take it out of the folder",
            )
    nameless = [file for file in files if not file.suffix]
    if nameless:
        remark(nameless[0].parent, f"no DICOM files, left out: {named(nameless)}")


def _candidates(folder: Path) -> list[Path]:
    """Files that may be DICOM: not hidden, and of no other format's suffix."""
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and not suffix_of(path) and path.is_file()
    ]


def _without_copies(images: Mapping[Path, Dataset], path: Path) -> dict[Path, Dataset]:
    kept: dict[tuple[str, ...], Path] = {}
    copies = []
    for file, one in images.items():
        uid = str(one.get("SOPInstanceUID", "")) or str(file)
        key = (uid, *(str(one.get(name, "")) for name in OF_A_SLICE))  # some exports give all slices one UID
        if key in kept:
            copies.append(file)
        else:
            kept[key] = file
    if copies:
        remark(path, f"the same DICOM image is there more than once; left out: {named(copies)}")
    return {file: images[file] for file in kept.values()}


def _text(header: Dataset, name: str) -> str:
    return str(header.get(name) or "").strip()


def _shared_names(images: Mapping[Path, Dataset]) -> tuple[str, ...]:
    """SHARED, less the frame of reference where an export gave every slice one of its own."""
    references = {_text(one, SHARED[-1]) for one in images.values()}
    return SHARED[:-1] if len(references) == len(images) > 2 else SHARED


def described(files: Mapping[Path, Dataset]) -> str:
    """A series in a message: its description, number of files and a file to know it by."""
    first = next(iter(files))
    name = str(files[first].get("SeriesDescription", "")).strip() or "without a name"
    many = f"{len(files)} files, the first {first.name}" if len(files) > 1 else f"1 file, {first.name}"
    return f"{name} ({many})"


def _no_image(path: Path, headers: Mapping[Path, Dataset]) -> InputError:
    kinds = {describe_kind(one): file for file, one in headers.items()}
    if not kinds:
        return InputError("holds no DICOM image series", where=path, expected="the files of one series")
    what = " and ".join(kinds)
    return InputError(
        f"holds {what}, no image" if path.is_dir() else f"is {what}, not an image",
        where=path,
        expected="the files of one DICOM image series",
        remedy="give the series that it belongs to; a segmentation can be given as the reference's label",
    )
