"""PaperPreprocessor: nnU-Net's preprocessing with the paper's intensities.

nnU-Net finds normalisers inside its own package alone, and none there clips a volume to its own percentiles.
So its preprocessor runs here with one method of ours, and the plans that it works for stay stock.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

from iris_core.preprocessing.intensity import normalise


class PaperPreprocessor(DefaultPreprocessor):
    """Reads, crops, resamples and stores as nnU-Net does.

    Args:
        modalities: case -> "ct", "mr" or "pet".
    """

    def __init__(self, modalities: Mapping[str, str]) -> None:
        super().__init__(verbose=False)
        self.modalities = dict(modalities)

    def run_case_save(self, output_filename_truncated: str, *args: Any, **kwargs: Any) -> None:
        """Preprocesses and stores one case; its name is the output's."""
        self._modality = self.modalities[Path(output_filename_truncated).name]
        super().run_case_save(output_filename_truncated, *args, **kwargs)

    def _normalize(self, data: np.ndarray, seg: np.ndarray, *args: Any, **kwargs: Any) -> np.ndarray:
        return np.stack([normalise(channel, self._modality) for channel in data])
