"""Intensities: clip, then z-score, by one of two named recipes.

`paper` goes by the volume alone. `nnunet` is a recipe that plans of stock nnU-Net can state, so that its own
prediction prepares an image as the training did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from iris_core.config import CT_CLIP, PERCENTILE_CLIP
from iris_core.errors import InputError

MODALITIES = ("ct", "mr", "pet")
RECIPES = ("paper", "nnunet")
SMALLEST_DEVIATION = 1e-8


@dataclass(frozen=True)
class CtStatistics:
    """The intensities of the labelled voxels of a whole training set, in HU.

    Attributes:
        low: values below it are clipped.
        high: values above it are clipped.
        mean: of the clipped values.
        deviation: of the clipped values.
    """

    low: float
    high: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class IntensityRecipe:
    """How intensities are normalised.

    Args:
        name: "paper": CT is clipped to [-990, 500] HU, MR and PET to their own 2nd and 98th percentile, and
            every volume is z-scored. "nnunet": CT by the statistics of a training set where they are given;
            everything else is z-scored without clipping.
        ct: those statistics; only for "nnunet".

    Raises:
        InputError: an unknown name, or statistics for a recipe that uses none.
    """

    name: str = "paper"
    ct: CtStatistics | None = None

    def __post_init__(self) -> None:
        if self.name not in RECIPES:
            raise InputError("unknown intensity recipe", expected=" or ".join(RECIPES), found=self.name)
        if self.ct is not None and self.name != "nnunet":
            raise InputError("this intensity recipe uses no CT statistics", found=self.name)

    def to_dict(self) -> dict[str, object]:
        """The recipe as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping) -> IntensityRecipe:
        """The recipe of `to_dict`."""
        ct = values.get("ct")
        return cls(values["name"], None if ct is None else CtStatistics(**ct))


PAPER = IntensityRecipe()


def normalise(array: np.ndarray, modality: str, recipe: IntensityRecipe = PAPER) -> np.ndarray:
    """Clips an image and z-scores it.

    Percentiles are exact over all voxels given; mean and deviation are those of all voxels given, after
    clipping, except for CT with statistics.

    Paper: supplement 7, data preprocessing. Departs: recipe "nnunet" (docs/decisions/0040).

    Args:
        array: any shape; the cropped volume on its native voxels.
        modality: "ct", "mr" or "pet".
        recipe: the paper's, or the one of a training.

    Returns:
        float32, contiguous; all 0 where nothing varies after clipping.

    Raises:
        InputError: unknown modality.
    """
    if modality not in MODALITIES:
        raise InputError("unknown modality", expected=" or ".join(MODALITIES), found=modality)
    if recipe.name == "paper":
        array = np.clip(array, *(CT_CLIP if modality == "ct" else np.percentile(array, PERCENTILE_CLIP)))
    elif modality == "ct" and recipe.ct is not None:
        array = np.clip(array, recipe.ct.low, recipe.ct.high)
    result = np.array(array, dtype=np.float32, order="C")
    if modality == "ct" and recipe.ct is not None:
        mean, deviation = recipe.ct.mean, recipe.ct.deviation
    else:
        mean, deviation = result.mean(dtype=np.float64), result.std(dtype=np.float64)
    result -= np.float32(mean)
    result /= np.float32(max(deviation, SMALLEST_DEVIATION))
    return result
