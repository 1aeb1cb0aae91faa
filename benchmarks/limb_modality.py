"""Dice on CT of a limb in much air, prepared as MR, as values alone once made it, and as its reference is.

    python -m benchmarks.limb_modality

Seeded forearms drawn by the tools of sample_data: two bones, flexors, extensors, skin and fat, 3 mm voxels.
One person is the reference, others are queries. A row a kind of query: the whole field of view, and the same
with the padding of a scanner's circle.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import torch

from iris_core import task_prediction
from iris_core.checkpoint import load_model
from iris_core.metrics import dice_per_class, mean_dice
from iris_core.preprocessing.modality import query_modality
from iris_core.segmenter import Segmenter
from iris_core.task.reference import Reference
from iris_core.task.task import Task
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume.volume import LabelVolume, Volume
from sample_data.canvas import Canvas
from sample_data.scan import grain, points_of
from sample_data.subject import Subject

FIELD, VOXEL = (420.0, 420.0, 72.0), 3.0  # mm
AIR, FAT, MUSCLE, BONE, MARROW, PADDING = -1000, -100, 55, 900, 200, -3024
NAMES = {1: "ulna", 2: "radius", 3: "flexors", 4: "extensors"}


def forearm(number: int) -> Reference:
    """The forearm of the person of a number, which seeds everything."""
    rng = np.random.default_rng((41, number))
    subject = Subject(rng)
    shape = tuple(round(side / VOXEL) for side in FIELD)
    affine = np.diag([VOXEL, VOXEL, VOXEL, 1.0])
    affine[:3, 3] = [-(side - VOXEL) / 2 for side in FIELD] + rng.uniform(-30, 30, 3) * (1, 1, 0)
    canvas = Canvas(subject.to_atlas(points_of(affine, shape)), edge=VOXEL)
    canvas.image[:] = AIR
    top, bottom = (0.0, 0.0, 90.0), (4.0, 0.0, -90.0)
    skin = canvas.tube([top, bottom], subject.size((30, 24)))
    canvas.paint(skin, MUSCLE)
    canvas.paint(skin + 2, FAT)
    canvas.paint(skin + 6, FAT / 2)
    front = canvas.tube([(0, 9, 90), (4, 7, -90)], subject.size((19, 14)))
    back = canvas.tube([(0, -11, 90), (3, -8, -90)], subject.size((15, 12)))
    canvas.paint(np.maximum(front, skin + 7), subject.about(MUSCLE), 3)
    canvas.paint(np.maximum(back, skin + 7), subject.about(MUSCLE - 15), 4)
    for value, side in ((1, -9), (2, 9)):
        bone = canvas.tube([(side, -2, 90), (side * 0.9, -1, -90)], subject.size((6.5, 7)))
        canvas.paint(bone, subject.about(BONE), value)
        canvas.paint(bone + 4, MARROW, value)
    noisy = canvas.image + 12 * grain(rng, shape, 0.5)
    image = Volume(np.clip(np.rint(noisy), -1024, 2000).astype(np.float32), affine)
    return Reference(image, LabelVolume(canvas.label, affine, NAMES), f"forearm {number}")


def padded(study: Reference) -> Reference:
    """The study with padding outside the scanner's circle."""
    array = study.image.array.copy()
    sides = (np.arange(length) - (length - 1) / 2 for length in array.shape[:2])
    away = np.hypot(*np.meshgrid(*sides, indexing="ij"))
    array[away > array.shape[0] / 2] = PADDING
    return replace(study, image=replace(study.image, array=array))


def scored(segmenter: Segmenter, task: Task, queries: list[Reference]) -> float:
    """Mean Dice over classes and queries."""
    found = []
    for query in queries:
        result = apply_task(segmenter, task, query.image).label
        found.append(mean_dice(dice_per_class(query.label.array, result.array, query.label.values)))
    return float(np.mean(found))


def main() -> None:
    """Runs the measurement."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    loaded = load_model()
    segmenter = Segmenter(loaded.model, **loaded.settings)
    segmenter = segmenter.changed("mirroring.enabled=false")
    task = encode_task(segmenter, [forearm(0)], spacing=VOXEL)
    queries = [forearm(number) for number in range(1, arguments.queries + 1)]
    print(f"the reference is {task.modality}")
    print("query | tissue | as | prepared as MR | as the rule says")
    for name, change in (("much air", lambda study: study), ("padded", padded)):
        changed = [change(query) for query in queries]
        values = np.concatenate([query.image.array.ravel() for query in changed])
        tissue = float(np.mean((values > -200) & (values < 300)))
        kind = query_modality(changed[0].image, task.modality, given=False)[0]
        with patch.object(task_prediction, "query_modality", lambda *_, **__: ("mr", [])):
            before = scored(segmenter, task, changed)
        after = scored(segmenter, task, changed)
        print(f"{name} | {tissue:.3f} | {kind} | {before:.3f} | {after:.3f}", flush=True)


if __name__ == "__main__":
    main()
