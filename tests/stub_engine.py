"""A stand-in for the network: a class is what is about as bright as in the reference. Quick and exact.

It lets the command line and the evaluation be tested for what they do around the network.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import nibabel as nib
import numpy as np

from iris_core.errors import CardError, InputError
from iris_core.volume.volume import LabelVolume, label_from_masks

AFFINE = np.diag([1.5, 1.5, 2.0, 1.0])
CLOSE = 25.0  # how far an intensity may lie from the reference's mean
BRIGHTNESS = {1: 100.0, 3: 200.0}


def label_array(shift: int = 0) -> np.ndarray:
    """(12, 14, 10) label map with two boxes, moved by `shift` voxels along j."""
    array = np.zeros((12, 14, 10), dtype=np.uint8)
    array[2:6, 2 + shift : 6 + shift, 3:7] = 1
    array[7:10, 4 + shift : 8 + shift, 2:5] = 3
    return array


def write_study(folder: Path, name: str, *, shift: int = 0, seed: int = 0) -> tuple[Path, Path]:
    """Writes one study in nnU-Net's raw layout below `folder`; gives its image and its label."""
    label = label_array(shift)
    image = np.random.default_rng(seed).normal(0, 2, label.shape)
    for value, brightness in BRIGHTNESS.items():
        image[label == value] += brightness
    paths = folder / "imagesTr" / f"{name}_0000.nii.gz", folder / "labelsTr" / f"{name}.nii.gz"
    for path, array in zip(paths, (image.astype(np.float32), label), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, AFFINE), path)
    return paths


def write_dataset(folder: Path, cases: int = 4) -> Path:
    """Writes a dataset of studies `case_1`, `case_2`, ... with the classes liver = 1 and kidney = 3."""
    for number in range(1, cases + 1):
        write_study(folder, f"case_{number}", shift=number - 1, seed=number)
    description = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "kidney": 3},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


class StubEngine:
    """Has the interface of `iris_core.cli.engine.Engine`; counts how often references are encoded."""

    encode_calls = 0
    device = "cpu"
    weights: ClassVar[dict[str, str]] = {"preset": "stub", "fingerprint": "0" * 8, "file": "stub"}

    def __init__(self, checkpoint, device, console, changes=()) -> None:
        if checkpoint is not None and not Path(checkpoint).is_file():
            raise InputError("no such file", where=checkpoint)

    def encode(
        self, references, *, classes=None, strategy=None, modality=None, spacing=None, sparse=None, seed=0
    ):
        type(self).encode_calls += 1
        found = {}
        for image, label in references:
            for value in label.values:
                name = label.name_of(value)
                if classes is None or name in classes:
                    found[name] = (value, float(image.array[label.array == value].mean()))
        return self._task(found, modality or "auto", strategy or "one-shot")

    def apply(self, task, image, title="query"):
        result = np.zeros(image.shape, dtype=np.uint8)
        for value, mean in task.means.values():
            result[np.abs(image.array - mean) < CLOSE] = value
        names = {value: name for name, (value, _) in task.means.items()}
        masks = np.stack([np.abs(image.array - mean) < 5 * CLOSE for _, mean in task.means.values()])
        layered = label_from_masks(masks, list(names), image.affine, names=names, placement=image.placement)
        return SimpleNamespace(
            label=LabelVolume(result, image.affine, names, placement=image.placement),
            quality={name: 1.0 for name in task.means},
            overlapping_label=lambda: layered,
            references_used={name: ["reference"] for name in task.means}, seconds=0.01, warnings=[],
        )  # fmt: skip

    def save(self, task, card: Path) -> dict[str, int]:
        card.write_text(json.dumps(task.means))
        return {"plain": card.stat().st_size, "extras": 0}

    def load(self, card: Path):
        try:
            return self._task(json.loads(card.read_text()), "ct", "one-shot")
        except ValueError:
            raise CardError("is no task card", where=card) from None

    @staticmethod
    def _task(means: dict, modality: str, strategy: str):
        classes = [SimpleNamespace(name=name, value=value) for name, (value, _) in means.items()]
        task = SimpleNamespace(
            means=means,
            classes=classes,
            modality=modality,
            spacing=(1.5, 1.5, 2.0),
            strategy=strategy,
            provenance={"modality_reason": "of the stub"},
        )
        task.facts = task
        return task
