"""Slicer's segmentation file, .seg.nrrd: an NRRD label map, or a list of them, with a field set per segment.

Segment N has SegmentN_Name, SegmentN_Color (0-1), SegmentN_LabelValue and SegmentN_Layer. The format is
described in Slicer's developer guide, "Segmentations". Results in plain NRRD and MetaImage carry the same
fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.boxes import box_around
from iris_core.volume.even_values import refuse_image
from iris_core.volume.label_values import label_dtype, whole_numbers
from iris_core.volume.volume import Color, LabelVolume
from iris_core.volume_io.atomic import atomic_path
from iris_core.volume_io.itk import images as itk
from iris_core.volume_io.nifti.label_table import software
from iris_core.volume_io.one_label import one_label
from iris_core.volume_io.suffix import META, suffix_of

if TYPE_CHECKING:
    import SimpleITK as sitk

#: "a tissue, place not said": the entry that Slicer itself gives to a segment without one.
TERMINOLOGY = (
    "TerminologyEntry:Segmentation category and type - 3D Slicer General Anatomy list"
    "~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~Anatomic codes - DICOM master list~^^~^^|"
)


@dataclass(frozen=True)
class Segment:
    """One segment as the header describes it; `value` is its number inside its layer."""

    name: str
    color: Color | None
    value: int
    layer: int


def load(path: Path, names: Mapping[int, str]) -> LabelVolume:
    """Reads a file with Slicer's segment fields.

    Segments keep their label values; where two segments of different layers share one, all are numbered from
    1 in the order of the file.

    Args:
        path: the file.
        names: value -> name, going before the file's names.

    Raises:
        InputError: the file cannot be read, or is not made of whole numbers.
    """
    image = itk.read(path)
    array, affine = itk.to_array(image, path)
    if _field(image, "Segmentation_SourceRepresentation").startswith("Fractional"):
        raise InputError(
            "is a fractional segmentation",
            where=path,
            expected="a binary label map",
            remedy="export it from Slicer as a binary label map",
        )
    if array.ndim == 4 and not _numbers(image):  # channels that no segment claims are no layers
        array = one_label(array, path)
    layers = whole_numbers(array if array.ndim == 4 else array[..., None], path)
    refuse_image(layers, path)
    segments = _segments(image, layers.shape[-1], path)
    own = [segment.value for segment in segments]
    values = own if len(set(own)) == len(own) else list(range(1, len(own) + 1))
    parts = _renumbered(layers, segments, values)
    shown = parts[0].copy()
    for part in parts[1:]:
        shown[part > 0] = part[part > 0]
    return LabelVolume(
        shown,
        affine,
        names={**{value: segment.name for value, segment in zip(values, segments, strict=True)}, **names},
        colors={
            value: segment.color for value, segment in zip(values, segments, strict=True) if segment.color
        },
        source=path,
        layers=tuple(parts) if len(parts) > 1 else (),
        partial=suffix_of(path) not in META,
    )


def save(label: LabelVolume, path: Path) -> None:
    """Writes a .seg.nrrd with a segment for every value that is named or occurs, whole or not at all.

    Layers in which nothing is drawn are left out, so that there are never more layers than segments.

    Raises:
        InputError: the folder cannot be written to, or a value is no whole number from 0 on.
    """
    layers = [whole_numbers(layer, path) for layer in label.layers or (label.array,)]
    layers = [layer for layer in layers if layer.any()] or layers[:1]
    array = np.stack(layers, axis=-1) if len(layers) > 1 else layers[0]
    image = itk.from_array(array, label.itk_affine)
    for key, text in segment_fields(label, layers).items():
        image.SetMetaData(key, " ".join(text.split()))
    with atomic_path(path) as hidden:
        itk.write(image, hidden)
        if len(layers) > 1:  # the layers are a list of volumes, not the components of a vector
            hidden.write_bytes(hidden.read_bytes().replace(b"kinds: vector domain", b"kinds: list domain", 1))


def segment_fields(
    label: LabelVolume, layers: list[np.ndarray], values: Sequence[int] | None = None
) -> dict[str, str]:
    """The header fields of a label, and the software that wrote it.

    Args:
        label: names and colours.
        layers: its voxels.
        values: that get a segment; None: all that are named or occur.
    """
    shown = {*label.values, *label.names} if values is None else {*values}
    fields = {
        "Software": software(),
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_SourceRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    for index, value in enumerate(sorted(shown - {0})):
        layer = next((number for number, part in enumerate(layers) if (part == value).any()), 0)
        color = " ".join(f"{channel / 255:.6f}" for channel in label.color_of(value))
        segment = {
            "ID": f"Segment_{value}",
            "Name": label.name_of(value),
            "NameAutoGenerated": "0",
            "Color": color,
            "ColorAutoGenerated": "0",
            "Extent": _extent(layers[layer] == value),
            "LabelValue": str(value),
            "Layer": str(layer),
            "Tags": TERMINOLOGY,
        }
        fields.update({f"Segment{index}_{key}": text for key, text in segment.items()})
    return fields


def _extent(mask: np.ndarray) -> str:
    """First and last voxel along i, j and k; "0 -1" an axis where the mask is empty."""
    return " ".join(f"{first} {last - 1}" for first, last in box_around(mask) or ((0, 0),) * 3)


def _segments(image: sitk.Image, layers: int, path: Path) -> list[Segment]:
    """The segments of the header in order. Old files give no value and no layer: then 1, and one each."""
    segments = []
    for number in _numbers(image):
        name = _field(image, f"Segment{number}_Name") or f"Segment_{number + 1}"
        value = _field(image, f"Segment{number}_LabelValue") or "1"
        layer = _field(image, f"Segment{number}_Layer") or str(number if layers > 1 else 0)
        color = _field(image, f"Segment{number}_Color").split()
        try:
            rgb = [min(255, max(0, round(float(part) * 255))) for part in color]
            shade = (rgb[0], rgb[1], rgb[2]) if len(rgb) == 3 else None
            segment = Segment(name, shade, int(value), int(layer))
        except ValueError as error:
            raise InputError(
                f"segment {name} has a broken header field", where=path, found=str(error)
            ) from error
        if segment.value < 1 or not 0 <= segment.layer < layers:
            raise InputError(
                f"segment {name} is not in the file",
                where=path,
                expected=f"a value from 1 on and one of {layers} layers",
                found=f"value {segment.value}, layer {segment.layer}",
            )
        segments.append(segment)
    return segments


def _numbers(image: sitk.Image) -> list[int]:
    """The numbers of the segments that have fields in the header."""
    return sorted(
        {int(hit[1]) for key in image.GetMetaDataKeys() if (hit := re.match(r"Segment(\d+)_", key))}
    )


def _renumbered(layers: np.ndarray, segments: list[Segment], values: list[int]) -> list[np.ndarray]:
    """Every layer (I, J, K) with the segments' own numbers replaced by the values of the label."""
    if layers.shape[-1] == 1 and values == [segment.value for segment in segments]:
        return [np.ascontiguousarray(layers[..., 0])]
    dtype = label_dtype(max(values, default=0))
    parts = [np.zeros(layers.shape[:3], dtype=dtype) for _ in range(layers.shape[-1])]
    for segment, value in zip(segments, values, strict=True):
        parts[segment.layer][layers[..., segment.layer] == segment.value] = value
    return parts


def _field(image: sitk.Image, key: str) -> str:
    return image.GetMetaData(key).strip() if image.HasMetaDataKey(key) else ""
