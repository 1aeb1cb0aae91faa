"""What the host's SEG writer has to be told of a label's segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from apps.iris_app.catalogue.study import names_from_info
from apps.iris_app.datastores.anatomy_codes import segment_attribute
from iris_core.volume.colors import color_for
from iris_core.volume_io import read_label


def described_segments(label: str, info: dict) -> list[dict]:
    """What the host's SEG writer needs: one entry for each value that is present, in ascending order.

    Args:
        label: label file.
        info: may hold a label_info that lists more, fewer or other values.
    """
    listed = info.get("label_info")
    names = names_from_info(listed)
    colors = {entry.get("idx"): entry.get("color") for entry in listed or () if isinstance(entry, dict)}
    segments: list[dict[str, Any]] = []
    for value in read_label(Path(label)).values:
        name = names.get(value, f"label_{value}")
        color = _rgb(colors.get(value)) or color_for(name, [tuple(s["color"]) for s in segments])
        attribute = segment_attribute(name, value, color)
        segments.append({"name": name, "idx": value, "color": list(color), "segmentAttribute": attribute})
    if segments:
        segments[0]["model_name"] = "Iris"
    return segments


def _rgb(color: object) -> tuple[int, int, int] | None:
    parts = np.asarray(color if isinstance(color, (list, tuple)) else (), dtype=float)
    if parts.size < 3:
        return None
    parts = parts[:3] * (255 if parts.max() <= 1 else 1)
    red, green, blue = (int(part) for part in np.clip(np.rint(parts), 0, 255))
    return red, green, blue
