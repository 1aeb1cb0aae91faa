"""A folder that holds one DICOM series, through SimpleITK's GDCM reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.volume_io import itk

if TYPE_CHECKING:
    import SimpleITK as sitk

DESCRIPTION, MODALITY, POSITION = "0008|103e", "0008|0060", "0020|0032"
NO_IMAGES = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "FID")
OFF_LATTICE = 0.1  # slice distances: how far a slice may lie from its place in an even stack
LOOKED_AT = 8  # files of a folder that are opened to see whether they are DICOM


def holds_dicom(folder: Path) -> bool:
    """Whether the first files of a folder carry DICOM's mark."""
    files = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    for path, _ in zip(files, range(LOOKED_AT), strict=False):
        with open(path, "rb") as file:
            if file.read(132)[128:] == b"DICM":
                return True
    return False


def load(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the one image series of a folder, slices in the order of their positions, values rescaled.

    Segmentations, structure sets, reports and other series without an image of their own are passed over.

    Returns:
        (I, J, K) array, or (I, J, K, channels) in colour; affine (4, 4) float64, voxel -> RAS+ mm.

    Raises:
        InputError: no image series, several of them, a single slice, slices that are missing, doubled or
            sheared (a tilted gantry), or files that cannot be read.
    """
    import SimpleITK as sitk

    series = {uid: sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid) for uid in _series(folder)}
    headers = {uid: _header(Path(files[0])) for uid, files in series.items()}
    images = [uid for uid in series if headers[uid].get(MODALITY) not in NO_IMAGES]
    if not images:
        raise InputError("holds no DICOM image series", where=folder, expected="the files of one series")
    if len(images) > 1:
        listed = [
            f"{headers[uid].get(DESCRIPTION) or 'without a name'} ({len(series[uid])} files)"
            for uid in images
        ]
        raise InputError(
            "holds several DICOM series",
            where=folder,
            expected="one series a folder",
            found=", ".join(listed),
            remedy="put each series into a folder of its own",
        )
    files = series[images[0]]
    if len(files) == 1:  # one slice, or a multi-frame volume
        return itk.load(Path(files[0]))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        with itk.quiet():
            image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            "cannot be read as one DICOM series", where=folder, found=itk.reason(error)
        ) from error
    array, affine = itk.to_array(image, folder)
    _check_stack(reader, affine, folder, len(files))
    return array, affine


def _series(folder: Path) -> tuple[str, ...]:
    import SimpleITK as sitk

    with itk.quiet():
        return sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))


def _header(path: Path) -> dict[str, str]:
    """The header fields of one file; empty where it cannot be read."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with itk.quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        return {}
    return {
        key: reader.GetMetaData(key).strip() for key in (DESCRIPTION, MODALITY) if reader.HasMetaDataKey(key)
    }


def _check_stack(reader: sitk.ImageSeriesReader, affine: np.ndarray, folder: Path, count: int) -> None:
    """Refuses slices that do not lie where an even, upright stack has them."""
    if not all(reader.HasMetaDataKey(index, POSITION) for index in range(count)):
        return
    lps = [
        [float(part) for part in reader.GetMetaData(index, POSITION).split("\\")] for index in range(count)
    ]
    stated = np.array(lps) * [-1, -1, 1]  # RAS
    expected = affine[:3, 3] + np.arange(count)[:, None] * affine[:3, 2]
    worst = np.linalg.norm(stated - expected, axis=1).max()
    if worst > OFF_LATTICE * np.linalg.norm(affine[:3, 2]):
        raise InputError(
            "slices are missing, doubled, unevenly spaced or tilted",
            where=folder,
            expected=f"{count} slices in an even, upright stack",
            found=f"a slice {worst:.2f} mm away from its place",
            remedy="complete the series, or resample it into NIfTI with a DICOM converter",
        )
