"""NRRD and MHA through SimpleITK; its LPS mm become RAS mm here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.remarks import remark
from iris_core.volume_io.atomic import atomic_path
from iris_core.volume_io.itk.text_header import doubt_place, refuse_other_units
from iris_core.volume_io.suffix import META, NRRD, suffix_of

if TYPE_CHECKING:
    import SimpleITK as sitk

#: The spaces of an NRRD header that ITK turns to its own.
KNOWN_SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image file.

    Returns:
        (I, J, K) or (I, J, K, channels) array in the file's type; affine (4, 4) float64, voxel -> RAS+ mm.

    Raises:
        InputError: the file cannot be read, or is 2D.
    """
    image = read(path)
    space = image.GetMetaData("NRRD_space") if image.HasMetaDataKey("NRRD_space") else ""
    if suffix_of(path) in NRRD and space not in KNOWN_SPACES:
        remark(path, "states no anatomical space; left and right are a guess (ITK's: x to the left)")
    return to_array(image, path)


def read(path: Path) -> sitk.Image:
    """Reads an image file with its header fields.

    Raises:
        InputError: the file cannot be read, or its lengths are in another unit than mm.
    """
    refuse_other_units(path)
    doubt_place(path)
    try:
        with quiet():
            return reader_of(path).Execute()
    except RuntimeError as error:
        raise InputError(
            "cannot be read",
            where=path,
            found=reason(error),
            remedy="the file is damaged, cut short or of another kind; copy or convert it again",
        ) from error


def reader_of(path: Path) -> sitk.ImageFileReader:
    """ITK's reader of a file, whatever the case of its suffix."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if suffix_of(path) in META:  # ITK knows a MetaImage by its suffix in lower case alone
        reader.SetImageIO("MetaImageIO")
    return reader


def place_of(path: Path) -> np.ndarray | None:
    """Where ITK puts the voxels of a file: (4, 4), voxel -> RAS+ mm; None where it cannot read the header."""
    reader = reader_of(path)
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    dimension = reader.GetDimension()
    if dimension < 3:
        return None
    return _ras(reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin(), dimension)


def to_array(image: sitk.Image, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """A SimpleITK image as array (I, J, K) or (I, J, K, channels), and affine (4, 4), voxel -> RAS+ mm."""
    import SimpleITK as sitk

    dimension = image.GetDimension()
    if dimension < 3:
        raise InputError("is a 2D image", where=path, expected="a volume", found=f"size {image.GetSize()}")
    array = sitk.GetArrayFromImage(image)  # (..., k, j, i) or (..., k, j, i, channels)
    array = array.transpose(*reversed(range(dimension)), *range(dimension, array.ndim))
    return array, _ras(image.GetDirection(), image.GetSpacing(), image.GetOrigin(), dimension)


def _ras(direction: tuple, spacing: tuple, origin: tuple, dimension: int) -> np.ndarray:
    """The affine (4, 4), voxel -> RAS+ mm, of the first three of ITK's axes."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(direction, (dimension, dimension))[:3, :3] * np.asarray(spacing[:3])
    affine[:3, 3] = origin[:3]
    return LPS_TO_RAS @ affine


def from_array(array: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """A SimpleITK image from an array (I, J, K) or (I, J, K, channels) and its affine, voxel -> RAS+ mm."""
    import SimpleITK as sitk

    layered = array.ndim == 4
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.swapaxes(0, 2)), isVector=layered)
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def save(array: np.ndarray, affine: np.ndarray, path: Path, fields: Mapping[str, str] | None = None) -> None:
    """Writes an array, compressed, whole or not at all.

    Args:
        array: (I, J, K).
        affine: (4, 4), voxel -> RAS+ mm.
        path: the file.
        fields: of the header, name -> text.
    """
    image = from_array(array, affine)
    for key, text in (fields or {}).items():
        image.SetMetaData(key, " ".join(text.split()))
    with atomic_path(path) as hidden:
        write(image, hidden)


def write(image: sitk.Image, path: Path) -> None:
    """Writes an image, compressed.

    Raises:
        OSError: it cannot be written.
    """
    import SimpleITK as sitk

    try:
        sitk.WriteImage(image, str(path), useCompression=True)
    except RuntimeError as error:
        raise OSError(reason(error)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps ITK's warnings off the terminal; what matters is raised as an error."""
    import SimpleITK as sitk

    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def reason(error: RuntimeError) -> str:
    """The telling line of SimpleITK's many-line message."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not line.startswith("Reason:")]  # errno, often a stale one
    return telling[-1] if telling else type(error).__name__
