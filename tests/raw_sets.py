"""Small datasets in nnU-Net's raw layout: blocks in noise, in any orientation, spacing and modality."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

STRAIGHT = np.diag([2.0, 2.0, 2.0, 1.0])
#: Axes permuted and flipped, thick slices, rotated by 17 degrees about the first axis of the patient.
OBLIQUE = np.array(
    [
        [0.0, -1.2, 0.0, 30.0],
        [-1.1 * np.cos(0.3), 0.0, 3.0 * np.sin(0.3), 12.0],
        [1.1 * np.sin(0.3), 0.0, 3.0 * np.cos(0.3), -8.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def image_and_label(
    shape: Sequence[int], values: Sequence[int], *, ct: bool, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """An image with a margin of zeros (CT: of air) and one bright block for every value."""
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.uint8)
    image = rng.normal(40, 60, shape) if ct else rng.gamma(2.0, 80.0, shape)
    for number, value in enumerate(values):
        start = 3 + number * 5
        box = (slice(start, start + 4), slice(4 + seed % 3, 9 + seed % 3), slice(3, 7))
        label[box] = value
        image[box] += 150 + 100 * number
    if ct:
        image[:, :, 0], image[1, 1, 1] = -1024, 2800
    else:
        image[:2], image[:, -1] = 0, 0
        label[:2] = 0
    return image.astype(np.float32), label


def write_raw_set(
    folder: Path,
    *,
    labels: Mapping[str, int],
    cases: int = 3,
    channel: str = "MRI",
    affines: Sequence[np.ndarray] = (STRAIGHT,),
    shape: Sequence[int] = (24, 22, 16),
    seed: int = 0,
) -> Path:
    """Writes a dataset; the k-th case has the k-th affine, in turn.

    Args:
        folder: where it goes.
        labels: name -> value, without the background.
        cases: how many.
        channel: its name.
        affines: of the cases.
        shape: of every image.
        seed: of what they show.
    """
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number in range(cases):
        values = [value for name, value in labels.items() if name != "ignore"]
        image, label = image_and_label(shape, values, ct=channel == "CT", seed=seed + number)
        affine = affines[number % len(affines)]
        nib.save(nib.Nifti1Image(image, affine), folder / "imagesTr" / f"case_{number}_0000.nii.gz")
        nib.save(nib.Nifti1Image(label, affine), folder / "labelsTr" / f"case_{number}.nii.gz")
    describe(folder, labels, cases, channel)
    return folder


def describe(
    folder: Path, labels: Mapping[str, int], cases: int, *channels: str, ending: str = ".nii.gz"
) -> None:
    """Writes dataset.json."""
    content = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, **labels},
        "numTraining": cases,
        "file_ending": ending,
    }
    (folder / "dataset.json").write_text(json.dumps(content))


def rewrite(folder: Path, **changes: object) -> None:
    """Changes keys of dataset.json."""
    path = folder / "dataset.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
