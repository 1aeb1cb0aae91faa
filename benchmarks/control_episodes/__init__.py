"""Fixed episodes on which trainings are measured; written once and never drawn again.

`first.npz` holds 24 episodes by the synthesis of 2026-11-28, before the diet of the long run; its first
twelve are the control episodes of every training up to then. `second.npz` holds episodes of that diet.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from iris_core.training.synthesis import EpisodeBatch

FOLDER = Path(__file__).parent
SETS = ("first", "second")
IMAGES, MASKS = ("reference_image", "query_image"), ("reference_mask", "query_mask")
OTHERS = ("valid", "present", "reference_offset", "query_offset")


def read_episodes(path: Path, batch: int = 2) -> list[EpisodeBatch]:
    """The episodes of a file, in batches."""
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    side = held[IMAGES[0]].shape[-1]
    whole: dict[str, torch.Tensor] = {}
    for name in IMAGES:
        low, step = held[f"{name}_scale"].T[:, :, None, None, None]
        whole[name] = torch.from_numpy(low + step * held[name].astype(np.float32))[:, None]
    for name in MASKS:
        whole[name] = torch.from_numpy(np.unpackbits(held[name], axis=-1, count=side).astype(np.float32))
    whole |= {name: torch.from_numpy(held[name]) for name in OTHERS}
    families = held["family"].tolist()
    return [
        EpisodeBatch(**{n: v[i : i + batch] for n, v in whole.items()}, family=families[i : i + batch])
        for i in range(0, len(families), batch)
    ]


def write_episodes(path: Path, batches: list[EpisodeBatch]) -> None:
    """Writes episodes of one shape: images in 256 steps between their ends, masks as bits."""
    held: dict[str, np.ndarray] = {}
    for name in IMAGES:
        image = torch.cat([getattr(batch, name) for batch in batches])[:, 0].numpy()
        low = image.min((1, 2, 3), keepdims=True)
        step = (image.max((1, 2, 3), keepdims=True) - low) / 255
        held[name] = np.rint((image - low) / step).astype(np.uint8)
        held[f"{name}_scale"] = np.stack([low.ravel(), step.ravel()], 1).astype(np.float32)
    for name in MASKS:
        held[name] = np.packbits(torch.cat([getattr(batch, name) for batch in batches]).numpy() > 0, axis=-1)
    held |= {name: torch.cat([getattr(batch, name) for batch in batches]).numpy() for name in OTHERS}
    held["family"] = np.array([name for batch in batches for name in batch.family])
    np.savez_compressed(path, **held)
