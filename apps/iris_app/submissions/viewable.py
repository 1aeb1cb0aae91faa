"""A label as viewers can read it: files as they are, a SEG of an archive as NIfTI in the image's grid."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def viewable(label: Path, image: Path) -> tuple[Path, bool]:
    """The file to give, and whether it is a temporary one that the caller removes.

    Args:
        label: a label file or a SEG.
        image: the image that it was drawn on.

    Raises:
        InputError: a SEG that cannot be read.
    """
    if label.suffix != ".dcm":
        return label, False
    from iris_core.volume.label_grid import fit_label
    from iris_core.volume_io import read_image, read_label, write_label

    fitted = fit_label(read_label(label), read_image(image))
    handle, name = tempfile.mkstemp(prefix="iris-", suffix=".nii.gz")
    os.close(handle)
    try:
        write_label(fitted, name)
    except BaseException:  # nothing half-written stays behind
        Path(name).unlink()
        raise
    return Path(name), True
