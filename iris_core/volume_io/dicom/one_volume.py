"""The one volume in a folder of several DICOM series: the others are named, or all are refused.

A study that was exported into one folder holds more than the scan: a localizer, screen captures, a film of
another series. What makes no volume is left out where it is less than the series that makes one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume_io.dicom.files import described, image_series
from iris_core.volume_io.dicom.frame import Frame, frames_of
from iris_core.volume_io.dicom.stack import stack

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Volume = tuple[list[Frame], np.ndarray]


class _Tried(NamedTuple):
    """A series, and what became of it.

    Attributes:
        uid: of the series.
        what: it is, for messages.
        size: frames.
        volume: what it holds, or None.
        fault: why it makes no volume, or None.
    """

    uid: str
    what: str
    size: int
    volume: Volume | None
    fault: InputError | None


def one_volume(path: Path) -> Volume:
    """The ordered frames and the affine (`stack`) of the one volume in a folder or a file.

    Of several series in a folder, files of several frames are images of their own, and go by their own names.
    Of the others, series that make no volume are left out, with a remark, where one alone makes a volume and
    has more slices than each of them.

    Raises:
        InputError: there is no volume, or there are several.
    """
    names, series = image_series(path)
    if len(series) == 1:
        (files,) = series.values()
        return stack(_frames(files), path)
    alone = {key: files for key, files in series.items() if _is_multi_frame(files)}
    rest = {key: files for key, files in series.items() if key not in alone} or series
    tried = [_tried(key[0], files, path) for key, files in rest.items()]
    whole = [(one, one.volume) for one in tried if one.volume is not None]
    others = [one for one in tried if one.volume is None]
    if len(whole) != 1:
        raise _several(names, series, path)
    ((scan, volume),) = whole
    if any(one.uid == scan.uid or one.size >= scan.size for one in others):
        raise _several(names, series, path)
    if others:
        left = "; ".join(f"{one.what}, which {one.fault.what if one.fault else ''}" for one in others)
        remark(path, f"{scan.what} is read; left out: {left}")
    if alone and rest is not series:
        listed = ", ".join(described(files) for files in alone.values())
        remark(path, f"{scan.what} is read; files of several frames are images of their own: {listed}")
    return volume


def _frames(files: Mapping[Path, Dataset]) -> list[Frame]:
    return [frame for file, header in files.items() for frame in frames_of(header, file)]


def _is_multi_frame(files: Mapping[Path, Dataset]) -> bool:
    return len(files) == 1 and int(next(iter(files.values())).get("NumberOfFrames", 1) or 1) > 1


def _tried(uid: str, files: Mapping[Path, Dataset], path: Path) -> _Tried:
    try:
        frames = _frames(files)
        return _Tried(uid, described(files), len(frames), stack(frames, path), None)
    except InputError as error:
        return _Tried(uid, described(files), len(files), None, error)


def _several(names: Sequence[str], series: Mapping[tuple[str, ...], Mapping], path: Path) -> InputError:
    columns = zip(names, zip(*series, strict=True), strict=True)
    differ = [name for name, values in columns if len(set(values)) > 1]
    return InputError(
        "holds several DICOM series",
        where=path,
        expected="one series a folder",
        found=f"{', '.join(described(files) for files in series.values())}, "
        f"which differ in {' and '.join(differ)}",
        remedy="put each series into a folder of its own, or give the file of a multi-frame one",
    )
