"""How far nnU-Net's preprocessed storage lies from what `iris_core` prepares for the same case.

    python benchmarks/preprocessing_parity.py DATASET [-p irisPlans]

nnUNet_raw and nnUNet_preprocessed are set as for nnU-Net; `iris plan-and-preprocess` ran before.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from iris_core.preprocessing.prepare import prepare_image
from iris_core.volume_io import read_image
from iris_core.volume_io.folder.raw_dataset import RawDataset
from nnunet_trainers.datasets.dataset_folder import nnunet_folder
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.planning.checks import find_dataset
from nnunet_trainers.planning.recipe import CONFIGURATION, recipe_of


def main() -> None:
    """Prints the largest and the mean difference, in standard deviations, and cases of another shape."""
    from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("-p", "--plans", default="irisPlans")
    arguments = parser.parse_args()
    folder = find_dataset(arguments.dataset, nnunet_folder("nnUNet_raw"))
    place = nnunet_folder("nnUNet_preprocessed") / folder.name
    plans = json.loads((place / f"{arguments.plans}.json").read_text())
    plan = plans["configurations"][CONFIGURATION]
    storage = nnUNetDatasetBlosc2(str(place / plan["data_identifier"]))
    dataset = RawDataset.open(folder)
    labels = PartialLabels.of_dataset(
        json.loads((folder / "dataset.json").read_text()), [case.name for case in dataset.cases]
    )
    largest, means, other_shape = 0.0, [], []
    for case in dataset.cases:
        modality = plans["iris"]["modalities"][labels.groups[case.name]]
        ours = prepare_image(
            read_image(case.image), modality=modality, spacing=plan["spacing"], recipe=recipe_of(plans)
        ).image.numpy()
        theirs = np.asarray(storage.load_case(case.name)[0][:])
        if ours.shape != theirs.shape:
            other_shape.append(f"{case.name} {theirs.shape[1:]} {ours.shape[1:]}")
            continue
        difference = np.abs(ours - theirs)
        largest, means = max(largest, float(difference.max())), [*means, float(difference.mean())]
    print(f"{folder.name}, {arguments.plans}, recipe {plans['iris']['intensity']}: {len(means)} cases")
    print(f"largest difference {largest:.2e} sd, mean {np.mean(means):.2e} sd")
    print(f"cases of another shape: {', '.join(other_shape) or 'none'}")


if __name__ == "__main__":
    main()
