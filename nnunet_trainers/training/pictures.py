"""Episode pictures: the reference with its mask, the query with the truth, the query with the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from iris_core.preprocessing.grid import label_map
from iris_core.runs.preview import contact_sheet, overlay, save_picture
from iris_core.volume.volume import LabelVolume, Volume
from nnunet_trainers.episodes.episode import LabelledBatch


def draw_episode(batch: LabelledBatch, logits: Tensor, names: Sequence[str], path: Path) -> None:
    """Draws the first episode of a batch.

    Args:
        batch: the episodes.
        logits: (B, K, D, H, W), what was decoded.
        names: of all classes of the dataset.
        path: PNG file.
    """
    classes = [int(c) for c, valid in zip(batch.classes[0], batch.valid[0], strict=True) if valid]
    chosen = {k + 1: names[k] for k in classes}
    where = batch.valid[0]
    rows = [
        ("reference", batch.reference_image, batch.reference_mask[0, where] - 0.5),
        ("query, truth", batch.query_image, batch.query_mask[0, where] - 0.5),
        ("query, prediction", batch.query_image, logits[0, where]),
    ]
    sheets = []
    for title, image, maps in rows:
        array = image[0, 0].float().cpu().numpy()
        labels = label_map(maps.float().cpu(), list(chosen))
        sheets.append(overlay(Volume(array, np.eye(4)), LabelVolume(labels, np.eye(4), chosen), title=title))
    save_picture(contact_sheet(sheets), path)
