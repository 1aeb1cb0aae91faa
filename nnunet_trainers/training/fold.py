"""What a fold holds: which preprocessed case shows which class, told by nnU-Net's own class locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from nnunetv2.training.dataloading.nnunet_dataset import nnUNetBaseDataset

from iris_core.errors import InputError
from nnunet_trainers.datasets.partial_labels import PartialLabels
from nnunet_trainers.episodes.case_index import CaseIndex
from nnunet_trainers.planning.checks import channels_of, refuse_regions

FOLDS = 5  # of nnU-Net, where a dataset brings no split


def held_classes(
    dataset: nnUNetBaseDataset, values: Mapping[str, int], cases: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Gives, case by case, the names of the classes in its preprocessed label.

    Args:
        dataset: where the cases are stored.
        values: name -> label value.
        cases: their names.
    """
    held = {}
    for case in cases:
        places = dataset.load_case(case)[3]["class_locations"]
        held[case] = tuple(name for name, value in values.items() if len(places.get(value, ())))
    return held


def training_and_validation(
    dataset: nnUNetBaseDataset,
    values: Mapping[str, int],
    labels: PartialLabels,
    training: Sequence[str],
    validation: Sequence[str],
) -> tuple[CaseIndex, CaseIndex]:
    """Whom training draws, and whom validation: references of any case, queries of validation cases alone.

    Raises:
        InputError: no pair can be drawn, for training or for validation.
    """
    held = held_classes(dataset, values, sorted({*training, *validation}))
    ours = {case: held[case] for case in training}
    return CaseIndex(ours, labels), CaseIndex(held, labels, queries=validation)


def refuse_too_few_cases(cases: int, splits: Path, fold: int | str) -> None:
    """Raises an InputError where nnU-Net would have to make its five folds of fewer cases.

    Args:
        cases: in the preprocessed storage.
        splits: splits_final.json, which need not be there.
        fold: "all" or a number.
    """
    if fold != "all" and not splits.is_file() and cases < FOLDS:
        raise InputError(
            f"too few cases for nnU-Net's {FOLDS} folds", where=splits.parent,
            expected=f"{FOLDS} cases or more", found=cases,
            remedy="train the fold all, or make the dataset with iris union, which draws a split",
        )  # fmt: skip


def refuse_what_is_not_for_us(plans: Mapping, configuration: Mapping, description: Mapping) -> None:
    """Raises an InputError with the reason where a dataset or configuration cannot be trained on."""
    channels = channels_of(description)
    where = plans.get("dataset_name", "dataset")
    if len(channels) != 1:
        raise InputError(
            "has several channels, and the network takes one", where=where, expected="one channel",
            found=", ".join(map(str, channels.values())),
            remedy="make a dataset of one of them, or of each as a dataset of its own with iris union",
        )  # fmt: skip
    refuse_regions(description, where)
    if len(configuration["patch_size"]) != 3 or configuration.get("previous_stage"):
        raise InputError(
            "unusable configuration", where=where, expected="a 3D configuration without a previous stage",
            found=f"patch size {configuration['patch_size']}", remedy="train 3d_fullres",
        )  # fmt: skip
