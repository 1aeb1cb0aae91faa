"""CT or not, told from the numbers alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from iris_core.volume import Volume

SAMPLES = 200_000  # voxels looked at, evenly strided
AIR_HU = -200.0  # CT holds values below this: air, lung or the padding of the scanner's circle
FLOOR_HU = -1100.0  # nothing lies below this but one padding value
TISSUE_HU = (-200.0, 300.0)  # soft tissue and fat
LEAST_TISSUE = 0.02  # of the voxels
MOST_BELOW_FLOOR = 0.01  # of the voxels, the padding value aside
NARROWEST_RANGE_HU = 500.0


class Modality(NamedTuple):
    """A detected modality and why."""

    name: str  # "ct" or "mr"
    reason: str  # one clause, without a full stop


def detect_modality(volume: Volume) -> Modality:
    """Says "ct" where the values look like Hounsfield units, else "mr", with the reason.

    Hounsfield units reach below -200 (air), span at least 500, lie partly in soft tissue's range, and do not
    scatter below -1100. PET looks like MR here and is treated the same.

    Args:
        volume: the image in the file's own values.
    """
    flat = volume.array.ravel()
    values = flat[:: max(1, flat.size // SAMPLES)]
    low, high = float(flat.min()), float(flat.max())
    span = f"values from {low:g} to {high:g}"
    if low > AIR_HU:
        return Modality("mr", f"{span}: none below {AIR_HU:g}, where CT has air")
    if high - low < NARROWEST_RANGE_HU:
        return Modality("mr", f"{span}: too narrow for CT")
    if np.mean((values < FLOOR_HU) & (values != low)) > MOST_BELOW_FLOOR:
        return Modality("mr", f"{span}: many below {FLOOR_HU:g}, where CT has nothing")
    tissue = float(np.mean((values >= TISSUE_HU[0]) & (values <= TISSUE_HU[1])))
    if tissue < LEAST_TISSUE:
        return Modality("mr", f"{span}: no soft tissue between {TISSUE_HU[0]:g} and {TISSUE_HU[1]:g}")
    return Modality("ct", f"{span}, {tissue:.0%} of them in soft tissue's range: Hounsfield units")


def query_modality(query: Volume, references: str, *, given: bool) -> tuple[str, list[str]]:
    """How a query is prepared when it does not look like its references.

    Args:
        query: the image.
        references: modality of the references.
        given: a person named it, so it holds for the query too.

    Returns:
        The modality, and what a person should know of the choice.
    """
    guess = detect_modality(query)
    if "ct" not in (guess.name, references) or guess.name == references:
        return references, []
    doubt = f"looks like {guess.name} ({guess.reason}), the references are {references}"
    return (references, [doubt]) if given else (guess.name, [f"{doubt}; prepared as {guess.name}"])
