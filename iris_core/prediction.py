"""Prediction: what a segmented query gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from iris_core.preprocessing.grid import ClassMap
from iris_core.volume.volume import LabelVolume, label_from_masks


@dataclass(frozen=True, eq=False)
class Prediction:
    """A segmented query.

    Args:
        label: label map in the query's own grid, with names and colours.
        maps: each class on its working grid, on the CPU.
        quality: per class the Dice to expect (iris_core.quality); an estimate, 0 where empty.
        references_used: per class the names of its references.
        seconds: of preparation, network and restoring.
        warnings: what a person should know.
    """

    label: LabelVolume
    maps: tuple[ClassMap, ...]
    quality: dict[str, float]
    references_used: dict[str, list[str]]
    seconds: float
    warnings: list[str]

    @cached_property
    def masks(self) -> np.ndarray:
        """(K, I, J, K) bool in the query's own grid: each class before they compete, made once."""
        return np.stack([one.native() > 0 for one in self.maps])

    def overlapping_label(self) -> LabelVolume:
        """The label with masks that overlap kept in layers, for formats that can hold them."""
        label = self.label
        whole = label_from_masks(self.masks, sorted(label.names), label.affine)
        return replace(label, array=whole.array, layers=whole.layers)
