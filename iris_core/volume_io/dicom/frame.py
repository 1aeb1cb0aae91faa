"""Frame: one slice of a DICOM file with its place and its rescaling, from whatever part of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from iris_core.errors import InputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: What may tell two slices at one place apart: words for a message -> attribute, looked for in a frame's
#: functional groups first and in the file's own elements then.
SERIES_AXES = (
    ("stack", "StackID"),
    ("time point", "TemporalPositionIndex"),
    ("time point", "TemporalPositionIdentifier"),
    ("b-value", "DiffusionBValue"),
    ("diffusion direction", "DiffusionGradientOrientation"),
    ("echo time", "EffectiveEchoTime"),
    ("echo time", "EchoTime"),
    ("inversion time", "InversionTime"),
    ("cardiac delay", "NominalCardiacTriggerDelayTime"),
    ("trigger time", "TriggerTime"),
    ("frame type", "FrameType"),
    ("image type", "ImageType"),
    ("frame time", "FrameReferenceDateTime"),
    ("kernel", "ConvolutionKernel"),
    ("acquisition", "AcquisitionNumber"),
    ("acquisition time", "AcquisitionTime"),
    ("content time", "ContentTime"),
    ("instance", "InstanceNumber"),
)

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Attributes:
        file: where it is stored.
        index: of the frame in its file.
        size: rows, columns.
        spacing: mm between rows, and between columns; None where the header is silent.
        orientation: (2, 3), unit vectors along a row (i) and down a column (j), LPS; or None.
        position: (3,) of the first voxel's centre, LPS mm; or None.
        slope: from stored to real values; None where the header is silent.
        intercept: the same.
        location: SliceLocation in mm, or None.
        gap: SpacingBetweenSlices in mm, or None.
        axes: words -> value of what may tell it from another slice at the same place.
    """

    file: Path
    index: int
    size: tuple[int, int]
    spacing: tuple[float, float] | None
    orientation: np.ndarray | None
    position: np.ndarray | None
    slope: float | None = None
    intercept: float | None = None
    location: float | None = None
    gap: float | None = None
    axes: dict[str, str] = field(default_factory=dict)

    @property
    def normal(self) -> np.ndarray:
        """(3,) the unit vector along which slices are stacked, LPS."""
        along, down = known(self.orientation)
        return np.cross(along, down)


def frames_of(header: Dataset, file: Path) -> list[Frame]:
    """The frames of a file in stored order.

    Raises:
        InputError: colour, values stored through a table, or a broken element.
    """
    samples = int(header.get("SamplesPerPixel", 1) or 1)
    colours = str(header.get("PhotometricInterpretation"))
    if samples != 1 or colours.startswith("PALETTE"):
        raise InputError(
            "is a colour picture",
            where=file,
            expected="one value a pixel",
            found=f"{colours} with {samples} samples",
            remedy="give the scanner's own series; a screen capture has no values that mean anything",
        )
    described = header.get("PerFrameFunctionalGroupsSequence")
    count = int(header.get("NumberOfFrames", 1) or 1)
    if described and len(described) != count:
        raise InputError(
            "does not describe each of its frames",
            where=file,
            expected=f"functional groups for {count} frames",
            found=f"groups for {len(described)}",
            remedy="the file is damaged; export it again",
        )
    try:
        return [_frame(header, file, index, groups) for index, groups in enumerate(_groups(header))]
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError("has a broken header element", where=file, found=str(error)) from error


def _groups(header: Dataset) -> Iterator[list[Dataset]]:
    """Of every frame the data sets that may hold its attributes, the nearest one first."""
    count = int(header.get("NumberOfFrames", 1) or 1)
    own, shared = header.get("PerFrameFunctionalGroupsSequence"), header.get("SharedFunctionalGroupsSequence")
    detector = header.get("DetectorInformationSequence")  # nuclear medicine: the place of the first slice
    for index in range(count):
        holders = [own[index]] if own else []
        holders += [shared[0]] if shared else []
        nested = [item[0] for one in holders for item in _sequences(one)]
        yield [*nested, header, *([detector[0]] if detector else [])]


def _sequences(group: Dataset) -> Iterator:
    """The functional groups in an item, and one level of groups in them."""
    for element in group:
        if element.VR == "SQ" and element.value:
            yield element.value
            yield from (inner.value for inner in element.value[0] if inner.VR == "SQ" and inner.value)


def _frame(header: Dataset, file: Path, index: int, groups: list[Dataset]) -> Frame:
    if _find(groups, "ModalityLUTSequence") is not None:
        raise InputError(
            "stores its values through a table (Modality LUT)",
            where=file,
            expected="values with a slope and an intercept",
            remedy="convert it to NIfTI with a DICOM converter that applies the table",
        )
    slope, intercept = _number(groups, "RescaleSlope"), _number(groups, "RescaleIntercept")
    if slope == 0:
        raise InputError(
            "has a rescale slope of 0", where=file, expected="a slope that keeps the values apart"
        )
    position = _numbers(groups, "ImagePositionPatient", 3)
    gap = _number(groups, "SpacingBetweenSlices")
    orientation = _orientation(groups, file)
    if position is not None and _placed_once(header) and orientation is not None and gap:
        position = position + _slice_number(header, index) * gap * np.cross(*orientation)
    return Frame(
        file=file,
        index=index,
        size=(int(header.Rows), int(header.Columns)),
        spacing=_spacing(groups, file),
        orientation=orientation,
        position=position,
        slope=slope,
        intercept=intercept,
        location=_number(groups, "SliceLocation"),
        gap=gap,
        axes={
            words: _text(value) for words, name in SERIES_AXES if (value := _find(groups, name)) is not None
        },
    )


def _placed_once(header: Dataset) -> bool:
    """Whether one position stands for all frames: nuclear medicine, whose slices follow at even distances."""
    return (
        int(header.get("NumberOfFrames", 1) or 1) > 1
        and not header.get("PerFrameFunctionalGroupsSequence")
        and bool(header.get("DetectorInformationSequence"))
    )


def _slice_number(header: Dataset, index: int) -> int:
    """Which slice a frame of nuclear medicine shows, from 0; several frames may show one."""
    numbers = header.get("SliceVector")
    return int(numbers[index]) - 1 if numbers is not None and len(numbers) > index else index


def _spacing(groups: list[Dataset], file: Path) -> tuple[float, float] | None:
    spacing = _numbers(groups, "PixelSpacing", 2)
    if spacing is None:
        return None
    if (spacing <= 0).any():
        raise InputError("has a pixel spacing of 0 or less", where=file, found=_text(spacing.tolist()))
    return float(spacing[0]), float(spacing[1])


def _orientation(groups: list[Dataset], file: Path) -> np.ndarray | None:
    """(2, 3) unit vectors, made exactly upright to each other."""
    values = _numbers(groups, "ImageOrientationPatient", 6)
    if values is None:
        return None
    along, down = values.reshape(2, 3)
    lengths = np.linalg.norm([along, down], axis=1)
    if (np.abs(lengths - 1) > 0.05).any() or abs(along @ down) > 0.05:
        raise InputError(
            "has an image orientation that is no pair of axes",
            where=file,
            expected="two unit vectors at right angles",
            found=_text(values.tolist()),
        )
    along = along / lengths[0]
    down = down - (down @ along) * along
    return np.stack([along, down / np.linalg.norm(down)])


def _find(groups: list[Dataset], name: str) -> Any | None:
    """An attribute of the first data set that has a value for it."""
    for group in groups:
        value = group.get(name)
        if value is not None and value != "" and not (hasattr(value, "__len__") and len(value) == 0):
            return value
    return None


def _number(groups: list[Dataset], name: str) -> float | None:
    value = _find(groups, name)
    if value is None:
        return None
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{name} is {number}")
    return number


def _numbers(groups: list[Dataset], name: str, count: int) -> np.ndarray | None:
    value = _find(groups, name)
    if value is None:
        return None
    numbers = np.array([float(part) for part in value])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"{name} is {_text(value)}")
    return numbers


def _text(value: object) -> str:
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return str(value)
    return "\\".join(f"{part:g}" if isinstance(part, float) else str(part) for part in value)


def known(value: T | None) -> T:
    """A fact of a frame that the checks of its series have made sure of.

    Raises:
        RuntimeError: it is missing; the frame was used before the checks.
    """
    if value is None:
        raise RuntimeError("a frame without its place was used before the series was checked")
    return value


def at_mm(position: np.ndarray) -> str:
    """A place, (3,) LPS mm, in words."""
    return f"({', '.join(f'{part:.1f}' for part in position)}) mm LPS"
