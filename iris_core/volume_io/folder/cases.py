"""The cases of a folder: one image file or one DICOM series each."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume_io.dicom import holds_dicom
from iris_core.volume_io.folder.folder_entry import SERIES, LeftOut, beside_series, dicom_images, why_left_out
from iris_core.volume_io.suffix import DICOM, PAIR, READABLE, suffix_of

SUMMARISED = 5  # entries that an error lists


@dataclass(frozen=True)
class Case:
    """One study of a folder.

    Attributes:
        name: the file's name without channel number and suffix: CASE of CASE_0000.nii.gz and of CASE.nii.gz.
        path: the image file (a multi-frame DICOM file is one), or the folder of the DICOM series.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Refused:
    """A case that no file can be chosen for.

    Attributes:
        name: of the case.
        paths: its files.
        error: why, and what to do.
    """

    name: str
    paths: tuple[Path, ...]
    error: InputError


@dataclass(frozen=True)
class Listing:
    """What the entries of a folder are.

    Attributes:
        cases: in name order.
        left_out: entries that are no image, each with its reason.
        refused: cases whose file is in doubt.
        apart: cases that the caller set apart.
    """

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...] = ()
    refused: tuple[Refused, ...] = ()
    apart: tuple[Case, ...] = ()


def case_name(path: str | Path) -> str:
    """The name of the case that a file or a series folder holds: no suffix, no channel number 0000."""
    stem, number = _split(Path(path))
    return stem if number in (None, 0) else f"{stem}_{number:04d}"


def list_cases(folder: str | Path, *, channel: int | None = None) -> list[Case]:
    """Lists the images of a folder, sorted by name; see `survey`.

    Raises:
        InputError: no such folder, no image in it, a case with several channels and none chosen or one
            chosen that it lacks, or two files of one name.
    """
    found = survey(folder, channel=channel)
    if found.refused:
        raise found.refused[0].error
    return list(found.cases)


def survey(
    folder: str | Path, *, channel: int | None = None, apart: Collection[Path] = frozenset()
) -> Listing:
    """Decides about every entry of a folder: a case, left out, or refused.

    A folder with DICOM slices is their series where they are more than the other images in it; multi-frame
    files beside them are cases of their own. In any other folder image files, multi-frame DICOM files and
    folders with a series are cases; hidden files, segmentations (by suffix or header, Iris' own results among
    them), other folders and other files are left out. Four digits at the end of a name are a channel number
    where a file with 0000 stands beside it, and part of the name elsewhere.

    Args:
        folder: where to look, not deeper than one level.
        channel: which channel of cases with several files (CASE_0000, CASE_0001, ...) to take.
        apart: resolved paths that are something else, references for instance.

    Raises:
        InputError: no such folder, one that cannot be opened, or nothing in it that could be a case.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", where=folder)
    try:
        entries = [path for path in sorted(folder.iterdir()) if not _is_half(path)]
    except OSError as error:
        raise InputError("cannot be opened", where=folder, found=error.strerror) from None
    reasons = {path: why_left_out(path) for path in entries}
    images = [path for path in entries if reasons[path] is None]
    slices, several = dicom_images(entries)
    others = len(images) + len(several)
    is_series = len(slices) >= SERIES and len(slices) > others
    if is_series or (not images and len(slices) + len(several) < SERIES and holds_dicom(folder)):
        # of a folder without an image, reading it says what there is
        beside = beside_series(entries) if slices or several else []
        own = several if slices else []  # files of several frames are images of their own
        return _beside(
            Case(folder.resolve().name, folder), _decided(_grouped(own), beside, folder, channel, apart)
        )
    images = sorted([*images, *several])
    left_out = [LeftOut(path, reason) for path, reason in reasons.items() if reason and path not in several]
    if not images:
        raise InputError(
            "holds no image",
            where=folder,
            expected=f"{', '.join(READABLE)} or DICOM series folders",
            found=_summary(left_out),
            remedy="give the folder in which the images lie" if any(map(Path.is_dir, entries)) else None,
        )
    for path in images:
        if path.is_dir():
            left_out += beside_series(sorted(path.iterdir()))
    return _decided(_grouped(images), left_out, folder, channel, apart)


def _beside(series: Case, found: Listing) -> Listing:
    """A listing with the series of the folder itself; a file of its name would take its result's place."""
    same = [case for case in found.cases if case.name == series.name]
    remedy = "rename the file, or move it into a folder of its own"
    refused = [
        Refused(
            case.name, (case.path,), InputError("has the name of its folder", where=case.path, remedy=remedy)
        )
        for case in same
    ]
    cases = [series, *(case for case in found.cases if case not in same)]
    return replace(found, cases=tuple(cases), refused=(*found.refused, *refused))


def _decided(
    groups: Mapping[str, Mapping[int, Sequence[Path]]],
    left_out: list[LeftOut],
    folder: Path,
    channel: int | None,
    apart: Collection[Path],
) -> Listing:
    """A case for every name, or the reason why there is none; `groups` is name -> channel -> files."""
    cases, set_apart, refused = [], [], []
    for name, files in sorted(groups.items()):
        known = [path for path in _flat(files) if path.resolve() in apart]
        set_apart += [Case(case_name(path), path) for path in known]
        rest = {number: [path for path in paths if path not in known] for number, paths in files.items()}
        rest = {number: paths for number, paths in rest.items() if paths}
        if known and len(files) > 1:  # a channel of it is a reference, so the others are no queries
            left_out += [LeftOut(path, f"is another channel of the reference {name}") for path in _flat(rest)]
        elif rest:
            try:
                chosen = _choose(name, rest, folder, channel)
            except InputError as error:
                refused.append(Refused(name, tuple(_flat(rest)), error))
                continue
            cases.append(Case(name, chosen))
            others = [path for path in _flat(rest) if path != chosen]
            left_out += [LeftOut(path, f"is another channel of {name}") for path in others]
    return Listing(tuple(cases), tuple(left_out), tuple(refused), tuple(set_apart))


def _grouped(images: Sequence[Path]) -> dict[str, dict[int, list[Path]]]:
    """Name -> channel -> files."""
    numbered = {stem for stem, number in map(_split, images) if number == 0}
    groups: dict[str, dict[int, list[Path]]] = {}
    for path in images:
        stem, number = _split(path)
        if number is not None and stem not in numbered:
            stem, number = f"{stem}_{number:04d}", 0
        groups.setdefault(stem, {}).setdefault(number or 0, []).append(path)
    return groups


def _is_half(path: Path) -> bool:
    """Whether a file holds the voxels of a pair, which its header stands for."""
    return suffix_of(path) == PAIR[1] and path.with_suffix(PAIR[0]).is_file()


def _flat(files: Mapping[int, Sequence[Path]]) -> list[Path]:
    return [path for paths in files.values() for path in paths]


def _summary(left_out: Sequence[LeftOut]) -> str:
    """What lies there instead of an image."""
    shown = [f"{entry.path.name} ({entry.reason})" for entry in left_out[:SUMMARISED]]
    more = len(left_out) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])]) or "nothing"


def _choose(name: str, files: Mapping[int, Sequence[Path]], folder: Path, channel: int | None) -> Path:
    """The file of a case that holds the wanted channel; of a case in one file, that file."""
    if len(files) > 1 and channel not in files:
        raise InputError(
            f"case {name} has several channels",
            where=folder,
            expected="one image a case",
            found=", ".join(path.name for path in _flat(files)),
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
    if path.suffix.lower() in DICOM:
        return path.stem, None
    suffix = suffix_of(path)
    stem = path.name[: -len(suffix)] if suffix else path.name
    numbered = re.fullmatch(r"(.+)_(\d{4})", stem)
    return (numbered[1], int(numbered[2])) if numbered and suffix else (stem, None)
