"""What another intensity recipe costs in Dice: reference by one recipe, query by the same or another.

    python benchmarks/recipe_difference.py DATASET_FOLDER --references 3 --queries 8

Reference "paper" with query "z-score" is what stock `nnUNetv2_predict` does after training by recipe "paper".
CT statistics come from the labelled voxels of the references.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np

from iris_core.checkpoint import load_model
from iris_core.metrics import dice
from iris_core.preprocessing.intensity import PAPER, CtStatistics, IntensityRecipe
from iris_core.segmenter import Segmenter
from iris_core.task.reference import Reference
from iris_core.task_encoding import encode_task
from iris_core.task_prediction import apply_task
from iris_core.volume_io import read_image, read_label
from iris_core.volume_io.folder.raw_dataset import RawDataset


def nnunet_recipe(references: list[Reference], modality: str) -> IntensityRecipe:
    """The recipe that nnU-Net's planner would write for these cases."""
    if modality != "ct":
        return IntensityRecipe("nnunet")
    values = np.concatenate([r.image.array[r.label.array > 0] for r in references])
    low, high = np.percentile(values, (0.5, 99.5))
    return IntensityRecipe("nnunet", CtStatistics(low, high, float(values.mean()), float(values.std())))


def main() -> None:
    """Prints mean Dice over classes, references and queries for every pair of recipes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--references", type=int, default=3)
    parser.add_argument("--queries", type=int, default=8)
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    dataset = RawDataset.open(arguments.dataset)
    modality = dataset.modality or "mr"
    studies = [
        Reference(read_image(case.image), read_label(case.label, labels=dataset.label_names), case.name)
        for case in dataset.cases[: arguments.references + arguments.queries]
    ]
    references, queries = studies[: arguments.references], studies[arguments.references :]
    model = load_model(arguments.checkpoint).model
    recipes = {
        "paper": PAPER,
        "nnunet": nnunet_recipe(references, modality),
        "z-score": IntensityRecipe("nnunet"),
    }
    for known, seen in product(recipes, recipes):
        scores = []
        for reference in references:
            task = encode_task(Segmenter(model, "cpu", recipe=recipes[known]), [reference], modality=modality)
            for query in queries:
                found = apply_task(Segmenter(model, "cpu", recipe=recipes[seen]), task, query.image)
                for entry in task.classes:
                    scores.append(dice(found.label.array == entry.value, query.label.array == entry.value))
        mean = np.nanmean(scores)
        print(f"reference {known:8} query {seen:8} mean Dice {mean:.4f} ({len(scores)})", flush=True)


if __name__ == "__main__":
    main()
