"""Preprocessed cases as nnU-Net's dataset classes give them, without nnU-Net: blocks of labels in noise."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

SHAPE = (20, 24, 40)


class StoredCases:
    """Cases x, y and z; class 1 is in all, class 2 in x and y, the ignore label 3 at the far end of all."""

    identifiers: ClassVar[list[str]] = ["x", "y", "z"]
    held: ClassVar[dict[str, list[str]]] = {"x": ["a", "b"], "y": ["a", "b"], "z": ["a"]}

    def load_case(self, name: str) -> tuple:
        """Gives image (1, ...), labels (1, ...), None, properties."""
        number = self.identifiers.index(name)
        image = np.random.default_rng(number).normal(size=(1, *SHAPE)).astype(np.float32)
        labels = np.zeros(image.shape, np.int8)
        labels[0, 4 + number : 10, 5:11, 20:30] = 1
        if number < 2:
            labels[0, 12:18, 5:11, 4:12] = 2
        labels[..., -2:] = 3
        image += 3 * labels
        return image, labels, None, {"class_locations": {k: np.argwhere(labels == k) for k in (1, 2)}}
