"""Checking an uploaded label against its image, and laying a crop into the image's grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from apps.iris_app.submissions.label_header import LabelHeader, image_affines, image_shape, read_header
from apps.iris_app.submissions.place import INSIDE, PART, WHOLE, Place, best_place
from apps.iris_app.submissions.voxel_stream import values_of
from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label
from iris_core.volume.volume import Volume
from iris_core.volume_io import read_label, write_label
from iris_core.volume_io.suffix import META, SEGMENTATION, suffix_of

MOST_TIMES = 2  # voxels of a label for one of its image: a crop may reach over the image's edge
MOST_BYTES = 16  # unpacked bytes of a label, all layers, for one voxel of its image
SMALL = 64 << 20  # unpacked bytes that are not too many for any image


@dataclass(frozen=True)
class CheckedLabel:
    """A label that may be saved.

    Attributes:
        file: in the image's grid; the uploaded file itself wherever that is possible.
        values: that occur in it; empty where nothing is drawn.
    """

    file: Path
    values: tuple[int, ...]


def check_label(path: Path, image: Path, *, allow_empty: bool = False, flat: bool = False) -> CheckedLabel:
    """Decides whether an uploaded label belongs to an image, and gives the file to be saved.

    Kind, lattice, extent and unpacked size are decided from headers; then the voxels are read as a stream
    that is no longer than the image allows.

    Args:
        path: the upload; a crop is written beside it in the image's grid.
        image: the image's file.
        allow_empty: the study shows none of the structures, so nothing is drawn.
        flat: the label goes to an archive, so it must be one volume, of overlapping segments the last shows,
            and something must be drawn in it.

    Raises:
        InputError: the label is refused; the message says why and what to do.
    """
    header, shape, affines = read_header(path), image_shape(image), image_affines(image)
    place = best_place(header.shape, header.affines, shape, affines)
    count = shape[0] * shape[1] * shape[2]
    if header.voxels > MOST_TIMES * count:
        raise _refused(header, shape, affines[0], "the label is larger than its image")
    if header.unpacked > max(MOST_BYTES * count, SMALL):
        raise InputError(
            "the label unpacks to far more than its image", where=path,
            expected=f"at most {max(MOST_BYTES * count, SMALL)} bytes",
            found=f"{header.unpacked} bytes in {header.layers} layers",
            remedy="save segments that do not overlap in one layer",
        )  # fmt: skip
    if not _belongs(place.how, header) and not (allow_empty and suffix_of(path) in SEGMENTATION):
        raise _refused(header, shape, affines[0], "the label's grid is not the image's")
    values = values_of(header)
    if not values and not allow_empty:
        raise InputError(
            "nothing is drawn in the label", where=path, expected="at least one voxel above 0",
            remedy="draw the structures; where the study shows none of them, submit with allow_empty=true",
        )  # fmt: skip
    if not values and flat:
        raise InputError(
            "nothing is drawn in the label, and an archive holds no empty SEG", where=path,
            remedy="leave the study without a label",
        )  # fmt: skip
    own = place.how == WHOLE and suffix_of(path) not in META and not (flat and header.layers > 1)
    if own:
        return CheckedLabel(path, tuple(values))
    return CheckedLabel(_laid(header, shape, place, bool(values), flat), tuple(values))


def _belongs(how: str, header: LabelHeader) -> bool:
    """Whether a lattice is accepted: NIfTI and MHA hold whole grids, or a part that says where it begins."""
    return how in (WHOLE, INSIDE) or (how == PART and header.partial)


def _laid(header: LabelHeader, shape: tuple[int, int, int], place: Place, drawn: bool, flat: bool) -> Path:
    """Writes a label in the image's grid; gives the file."""
    label = replace(read_label(header.path), affine=place.label, partial=True)
    fitted = fit_label(label, Volume(np.broadcast_to(np.float32(0), shape), place.image))
    if not drawn:
        fitted = replace(fitted, array=np.zeros(shape, np.uint8), layers=())
    keeps = suffix_of(header.path) in SEGMENTATION and not flat
    suffix = ".seg.nrrd" if keeps else ".nii.gz"
    target = header.path.with_name(f"laid{suffix}")
    write_label(fitted, target)
    return target


def _refused(header: LabelHeader, shape: tuple[int, int, int], affine: np.ndarray, what: str) -> InputError:
    return InputError(
        what, where=header.path, expected=_told(shape, affine), found=_told(header.shape, header.affines[0]),
        remedy="submit the label that was drawn on this image, in its own grid or as a crop of it",
    )  # fmt: skip


def _told(shape: tuple[int, int, int], affine: np.ndarray) -> str:
    rows = " ".join(f"[{' '.join(f'{value:.4g}' for value in row)}]" for row in affine[:3])
    return f"shape {'x'.join(map(str, shape))} affine {rows}"
