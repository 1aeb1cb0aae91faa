"""Dice of the memory bank on the test part of a union, every dataset by its own classes alone.

    python benchmarks/bank_dice.py UNION_FOLDER --checkpoint FILE_OR_TRAINING_FOLDER [--device cuda]

A class that a dataset does not annotate is not drawn there, so two datasets with a liver each do not compete.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from iris_core.bank.bank_task import BankTask
from iris_core.checkpoint import load_model
from iris_core.metrics import dice
from iris_core.volume.label_names import parse_label_names
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label
from nnunet_trainers.datasets.partial_labels import PartialLabels

Segment = Callable[[Volume, Sequence[str]], LabelVolume]


def bank_dice(union: Path, segment: Segment) -> dict[str, dict[str, float]]:
    """Group -> class -> mean Dice over the group's test cases.

    Args:
        union: a dataset that `iris union` wrote, with a test part.
        segment: an image and class names in, a label with the union's values out.

    Returns:
        nan for a class that neither truth nor result holds in any case.
    """
    description = json.loads((union / "dataset.json").read_text())
    labels = PartialLabels.of_dataset(description)
    values = {name: value for value, name in parse_label_names(description, where=union).items()}
    result = {}
    for group, names in labels.annotated.items():
        scores: dict[str, list[float]] = {name: [] for name in names}
        for case in (case for case in labels.test if labels.groups[case] == group):
            truth = read_label(union / "labelsTs" / f"{case}.nii.gz").array
            found = segment(read_image(union / "imagesTs" / f"{case}_0000.nii.gz"), names).array
            for name in names:
                scores[name].append(dice(truth == values[name], found == values[name]))
        if any(scores.values()):
            result[group] = {name: _mean(each) for name, each in scores.items()}
    return result


def _mean(scores: Sequence[float]) -> float:
    return float("nan") if np.isnan(scores).all() else float(np.nanmean(scores))


def main() -> None:
    """Prints Dice by class, by dataset, and the mean over datasets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("union", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    loaded, tasks = load_model(arguments.checkpoint, arguments.device), {}
    seen = BankTask(loaded).task.names  # a class that training never saw stays empty

    def segment(image: Volume, names: Sequence[str]) -> LabelVolume:
        if names not in tasks:
            known = [name for name in names if name in seen]
            tasks[names] = BankTask(loaded, classes=known)
        return tasks[names].apply(image).label

    means = []
    for group, scores in bank_dice(arguments.union, segment).items():
        means.append(_mean(list(scores.values())))
        print(f"{group}: {means[-1]:.4f}", *(f"{name} {score:.4f}" for name, score in scores.items()))
    print(f"mean over {len(means)} datasets: {_mean(means):.4f}")


if __name__ == "__main__":
    main()
