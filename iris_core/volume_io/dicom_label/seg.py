"""Reading DICOM SEG: segments with their names and colours, on the slices that were painted.

A SEG holds frames, each one segment on one slice, in any order and only where something is drawn. Binary,
fractional and label-map SEGs are read. pydicom parses the file, by calls that its releases 2 and 3 share
(docs/decisions/0070).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.volume import Color, LabelVolume, label_from_masks
from iris_core.volume_io.dicom.pixels import stored_values
from iris_core.volume_io.itk.images import LPS_TO_RAS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SAME_SLICE_MM = 0.01
OFF_THICKNESS = 0.05  # slice thicknesses: how far a distance may be from a whole number of them
DAMAGE = (OSError, AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError)


def read_seg(file: Path) -> LabelVolume:
    """Reads a SEG file.

    Raises:
        InputError: it is no SEG, or is damaged.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        dataset = pydicom.dcmread(file, force=True)
        if str(dataset.get("Modality")) != "SEG":
            raise InputError("is no DICOM SEG", where=file, found=dataset.get("Modality"))
        return _label(dataset, file)
    except (*DAMAGE, InvalidDicomError) as error:
        raise InputError("cannot be read as a DICOM SEG", where=file, found=error) from error


def _label(dataset: Dataset, file: Path) -> LabelVolume:
    compressed = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    compressed = compressed is not None and compressed.is_compressed
    frames = stored_values(file) if compressed else dataset.pixel_array
    frames = frames.reshape(-1, dataset.Rows, dataset.Columns)  # (F, j, i)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    groups = dataset.PerFrameFunctionalGroupsSequence
    plane = _group(shared, groups[0], "PlaneOrientationSequence")
    along_i, along_j = np.reshape(plane.ImageOrientationPatient, (2, 3)).astype(float)
    normal = np.cross(along_i, along_j)
    positions = np.array([_position(shared, group) for group in groups])  # (F, 3) LPS mm
    depth = positions @ normal
    pixel = _group(shared, groups[0], "PixelMeasuresSequence")
    step = _step(depth, pixel)
    slices = np.rint((depth - depth.min()) / step).astype(int)  # (F,)
    if np.abs(slices * step + depth.min() - depth).max() > 0.1 * step:
        raise InputError("has slices that are not evenly spaced", where=file)
    segments = {int(s.SegmentNumber): s for s in dataset.SegmentSequence}
    numbers = sorted(number for number in segments if number > 0)  # a label map may list its background as 0
    masks = np.zeros((len(numbers), dataset.Columns, dataset.Rows, slices.max() + 1), bool)
    for frame, group, k in zip(frames, groups, slices, strict=True):
        for index, drawn in _drawn(dataset, frame, (shared, group), numbers):
            masks[index, :, :, k] |= drawn.T
    row_mm, column_mm = map(float, pixel.PixelSpacing)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([along_i * column_mm, along_j * row_mm, normal * step], axis=1)
    affine[:3, 3] = positions[depth.argmin()]
    names = {number: _name(segments[number], number) for number in numbers}
    colors = {number: color for number in numbers if (color := _color(segments[number]))}
    label = label_from_masks(masks, numbers, LPS_TO_RAS @ affine, names=names, colors=colors)
    return replace(label, source=file, partial=True)


def _drawn(
    dataset: Dataset, frame: np.ndarray, groups: tuple[Dataset, Dataset], numbers: list[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """(index of the segment, mask (j, i)) of everything that a frame shows.

    Args:
        dataset: the SEG.
        frame: stored values.
        groups: functional groups that all frames share, and the frame's own.
        numbers: of the segments.
    """
    kind = str(dataset.SegmentationType)
    if kind == "LABELMAP":
        yield from ((index, frame == number) for index, number in enumerate(numbers))
        return
    number = int(_group(*groups, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    least = 0.5 * float(dataset.MaximumFractionalValue) if kind == "FRACTIONAL" else 0
    yield numbers.index(number), frame > least


def _group(shared: Dataset, frame: Dataset, name: str) -> Dataset:
    """A functional group that may stand once for all frames or in each of them."""
    found = shared.get(name) or frame.get(name)
    if not found:
        raise KeyError(f"no {name}")
    return found[0]


def _position(shared: Dataset, group: Dataset) -> list[float]:
    return [float(part) for part in _group(shared, group, "PlanePositionSequence").ImagePositionPatient]


def _step(depth: np.ndarray, pixel: Dataset) -> float:
    """Distance of slices in mm, above 0.

    As stated (a sign counts for nothing). Else the slice's thickness where all drawn slices lie whole
    thicknesses apart, as every fifth slice of a series does; else the smallest distance that occurs.
    """
    if pixel.get("SpacingBetweenSlices"):
        return abs(float(pixel.SpacingBetweenSlices))
    gaps = np.diff(np.unique(depth))
    gaps = gaps[gaps > SAME_SLICE_MM]
    thickness = float(pixel.get("SliceThickness") or 0)
    if not gaps.size:
        return float(pixel.SliceThickness)
    if thickness > 0:
        parts = gaps / thickness
        if (np.rint(parts) >= 1).all() and (np.abs(parts - np.rint(parts)) <= OFF_THICKNESS).all():
            return float(gaps.sum() / np.rint(parts).sum())
    return float(gaps.min())


def _name(segment: Dataset, number: int) -> str:
    return (
        str(segment.get("SegmentLabel") or segment.get("SegmentDescription") or "").strip()
        or f"label_{number}"
    )


def _color(segment: Dataset) -> Color | None:
    """(R, G, B) of a recommended CIELab value (PS3.3 C.10.7.1.1), D65 white; None where none is given."""
    value = segment.get("RecommendedDisplayCIELabValue")
    if value is None or len(value) != 3:
        return None
    light, a, b = np.array(value, float) / 65535 * [100, 255, 255] - [0, 128, 128]
    y = (light + 16) / 116
    f = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9505, 1.0, 1.089]
    linear = np.clip(SRGB @ xyz, 0, 1)
    gamma = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(part) for part in np.rint(255 * gamma))
    return red, green, blue


SRGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
