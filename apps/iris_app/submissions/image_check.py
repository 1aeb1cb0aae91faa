"""Checking an image that a viewer adds: as a stranger's file, judged like a label, and then read."""

from __future__ import annotations

from pathlib import Path

from apps.iris_app.submissions.label_header import read_header
from apps.iris_app.submissions.voxel_stream import require_length
from iris_core.errors import InputError
from iris_core.volume_io import read_image

MOST_VOXELS = 1 << 29  # 512 x 512 x 2048
MOST_BYTES = 1 << 31  # unpacked; a small file may claim any number


def check_image(path: Path) -> None:
    """Decides whether an uploaded file is an image that can be kept.

    Kind, size and place of the voxels are decided from the header; then the voxels are read once as a stream
    that is no longer than the header says, and at last by the library that will read the image.

    Raises:
        InputError: the file is refused; the message says why.
    """
    header = read_header(path)
    voxels = header.voxels * header.layers
    if voxels > MOST_VOXELS:
        raise InputError("is too large", where=path, expected=f"at most {MOST_VOXELS} voxels", found=voxels)
    if header.unpacked > MOST_BYTES:
        raise InputError(
            "is too large", where=path, expected=f"at most {MOST_BYTES} bytes unpacked", found=header.unpacked
        )
    require_length(header)
    read_image(path)
