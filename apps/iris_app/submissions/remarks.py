"""What a person should know of a label that they have just submitted, beside that it is saved."""

from __future__ import annotations

from math import prod
from pathlib import Path

from apps.iris_app.submissions.label_header import read_header
from iris_core.errors import InputError
from iris_core.remarks import listening, texts
from iris_core.volume.unknown import gap_lines
from iris_core.volume_io import read_label

MOST_VOXELS = 8_000_000  # of a label that is looked through at once; of larger ones the next result says it
NAME = "the label"


def remarks_on(file: Path) -> list[str]:
    """Sentences on what its reader remarks and on slices that nobody drew on; empty for a large label.

    Args:
        file: a label that may be saved.
    """
    try:
        if prod(read_header(file).shape) > MOST_VOXELS:
            return []
        with listening() as heard:
            label = read_label(file)
    except InputError:  # whoever uses the label will say so
        return []
    return [*texts(heard, NAME), *gap_lines(label, NAME)]
