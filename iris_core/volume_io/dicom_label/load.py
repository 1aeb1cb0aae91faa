"""Finding the segmentation in a DICOM file or folder; whatever else lies there is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io.dicom_label.kind import CONTOURS, SEGMENTATIONS, storage_class
from iris_core.volume_io.dicom_label.seg import read_seg

EXPECTED = "a label file, or a DICOM SEG or the folder that holds it"


def load(path: Path, names: Mapping[int, str]) -> LabelVolume:
    """Reads the one SEG of a file or folder, with its segments' names, colours and overlaps.

    Args:
        path: a file, or a folder; an image series beside the SEG does not matter.
        names: value -> name, going before the segments' own.

    Raises:
        InputError: there is no SEG, or several; contours (RTSTRUCT), which are not read; or a SEG that is
            damaged, or for which a package is missing.
    """
    folder = path.is_dir()
    files = sorted(p for p in path.iterdir() if p.is_file() and p.name[:1] != ".") if folder else [path]
    kinds = {file: uid for file in files if (uid := storage_class(file)) is not None}
    segs = [file for file, uid in kinds.items() if uid in SEGMENTATIONS]
    if len(segs) > 1:
        raise InputError(
            "holds several segmentations",
            where=path,
            expected="one DICOM SEG",
            found=", ".join(file.name for file in segs),
            remedy="give the file of one of them",
        )
    if segs:
        label = read_seg(segs[0])
        return replace(label, names={**label.names, **names})
    contours = [file for file, uid in kinds.items() if uid == CONTOURS]
    if contours:
        raise _contours(contours[0])
    if not kinds:
        if not folder:
            raise InputError("unknown kind of file", where=path, expected=EXPECTED)
        raise InputError("is a folder without a segmentation", where=path, expected=EXPECTED)
    raise InputError(
        f"is a {'folder' if folder else 'DICOM file'} without a segmentation",
        where=path,
        expected=EXPECTED,
        found=f"DICOM storage class {', '.join(sorted({uid or 'unknown' for uid in kinds.values()}))}",
        remedy="give the segmentation that was drawn on this image",
    )


def _contours(file: Path) -> InputError:
    """A refusal of contours that says how to turn them into a label map."""
    command = f"plastimatch convert --input '{file}' --referenced-ct 'SERIES' --output-labelmap label.mha"
    return InputError(
        "is a DICOM RTSTRUCT: contours, not voxels, which are not read",
        where=file,
        expected=EXPECTED,
        remedy=f"convert it, with the folder of its image series as SERIES: {command}",
    )
