"""The cases of a folder: one image file or one DICOM series each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume_io.dicom import holds_dicom
from iris_core.volume_io.suffix import PAIR, READABLE, SEGMENTATION, suffix_of


@dataclass(frozen=True)
class Case:
    """One study of a folder.

    Attributes:
        name: the file's name without channel number and suffix: CASE of CASE_0000.nii.gz and of CASE.nii.gz.
        path: the image file, or the folder of the DICOM series.
    """

    name: str
    path: Path


def case_name(path: str | Path) -> str:
    """The name of the case that a file or a series folder holds: no suffix, no channel number 0000."""
    stem, number = _split(Path(path))
    return stem if number in (None, 0) else f"{stem}_{number:04d}"


def list_cases(folder: str | Path, *, channel: int | None = None) -> list[Case]:
    """Lists the images of a folder, sorted by name.

    Image files and folders with a DICOM series count; hidden files, segmentations (.seg.nrrd) and other files
    do not. A folder that is itself a DICOM series is one case. Four digits at the end of a name are a channel
    number where a file with 0000 stands beside it, and part of the name elsewhere.

    Args:
        folder: where to look, not deeper than one level.
        channel: which channel of cases with several files (CASE_0000, CASE_0001, ...) to take.

    Raises:
        InputError: no such folder, no image in it, a case with several channels and none chosen or one
            chosen that it lacks, or two files of one name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", where=folder)
    images = [path for path in sorted(folder.iterdir()) if _is_image(path)]
    if not images:
        if holds_dicom(folder):
            return [Case(folder.resolve().name, folder)]
        raise InputError(
            "holds no image", where=folder, expected=f"{', '.join(READABLE)} or DICOM series folders"
        )
    numbered = {stem for stem, number in map(_split, images) if number == 0}
    cases: dict[str, dict[int, list[Path]]] = {}  # name -> channel -> files
    for path in images:
        stem, number = _split(path)
        if number is not None and stem not in numbered:
            stem, number = f"{stem}_{number:04d}", 0
        cases.setdefault(stem, {}).setdefault(number or 0, []).append(path)
    return [Case(name, _choose(name, files, folder, channel)) for name, files in sorted(cases.items())]


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    if path.is_dir():
        return holds_dicom(path)
    suffix = suffix_of(path)
    if suffix == PAIR[1] and path.with_suffix(PAIR[0]).is_file():
        return False  # the voxels of a pair, which its header stands for
    return suffix in READABLE and suffix not in SEGMENTATION


def _choose(name: str, files: dict[int, list[Path]], folder: Path, channel: int | None) -> Path:
    """The file of a case that holds the wanted channel; of a case in one file, that file."""
    if len(files) > 1 and channel not in files:
        raise InputError(
            f"case {name} has several channels",
            where=folder,
            expected="one image a case",
            found=", ".join(path.name for paths in files.values() for path in paths),
            remedy="choose one with the channel option; files that are cases of their own need other names",
        )
    paths = files[channel] if len(files) > 1 and channel is not None else next(iter(files.values()))
    if len(paths) > 1:
        raise InputError(
            f"several files are called {name}",
            where=folder,
            expected="one image a case",
            found=", ".join(path.name for path in paths),
            remedy="rename or remove all but one",
        )
    return paths[0]


def _split(path: Path) -> tuple[str, int | None]:
    """Case name and channel number: (CASE, 0) of CASE_0000.nii.gz, (CASE, None) of CASE.nii.gz."""
    suffix = suffix_of(path)
    stem = path.name[: -len(suffix)] if suffix else path.name
    numbered = re.fullmatch(r"(.+)_(\d{4})", stem)
    return (numbered[1], int(numbered[2])) if numbered and suffix else (stem, None)
