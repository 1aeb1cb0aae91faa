"""What is kept of a prediction, and how two such records differ."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import torch

from iris_core.prediction import Prediction

SAMPLED = 24  # voxels of each class whose logits are kept
TOLERANCE = 1e-5  # of a logit and of an expected Dice
DIGITS = 7  # after the point


def entry(prediction: Prediction) -> dict[str, object]:
    """One pair in JSON types: hash and size of every mask, logits at some voxels, expected Dice.

    Half of the voxels are drawn from all, half from those nearest to the mask's border, by logit.
    """
    classes = {}
    for name, one in zip(prediction.quality, prediction.maps, strict=True):
        mask, flat = one.native() > 0, one.logits.flatten()
        generator = torch.Generator().manual_seed(len(flat))
        drawn = torch.randint(len(flat), (SAMPLED // 2,), generator=generator)
        near = flat.abs().argsort()[: 50 * SAMPLED : 100]
        places = torch.cat([drawn, near]).tolist()
        classes[name] = {
            "mask": hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()[:16],
            "voxels": int(mask.sum()),
            "shape": list(one.logits.shape),
            "places": places,
            "logits": [round(float(flat[place]), DIGITS) for place in places],
            "expected": prediction.quality[name],
            "references": prediction.references_used[name],
        }
    label = hashlib.sha256(np.ascontiguousarray(prediction.label.array).tobytes()).hexdigest()[:16]
    return {"label": label, "warnings": prediction.warnings, "classes": classes}


def differences(kept: Mapping, prediction: Prediction) -> list[str]:
    """One line for each thing that is not as it was kept; none where all is."""
    now, lines = entry(prediction), []
    for key in ("label", "warnings"):
        if kept[key] != now[key]:
            lines.append(f"{key}: {kept[key]} before, {now[key]} now")
    if list(kept["classes"]) != list(now["classes"]):
        return [*lines, f"classes: {list(kept['classes'])} before, {list(now['classes'])} now"]
    for (name, before), one in zip(kept["classes"].items(), prediction.maps, strict=True):
        after = now["classes"][name]
        for key in ("shape", "mask", "voxels", "references"):
            if before[key] != after[key]:
                lines.append(f"{name}: {key} {before[key]} before, {after[key]} now")
        if abs(before["expected"] - after["expected"]) > TOLERANCE:
            lines.append(f"{name}: expected Dice {before['expected']} before, {after['expected']} now")
        if before["shape"] == after["shape"]:
            values = one.logits.flatten()[before["places"]].numpy()
            apart = np.abs(values - np.array(before["logits"]))
            if not apart.max() <= TOLERANCE:
                lines.append(
                    f"{name}: logits differ by up to {apart.max():.2g}, at {(apart > TOLERANCE).sum()} of "
                    f"{len(apart)} voxels"
                )
    return lines
