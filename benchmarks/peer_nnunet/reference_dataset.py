"""An nnU-Net raw dataset of exactly the references of one set; label values become 1 to K."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from iris_core.errors import InputError
from iris_core.evaluation.pairs import ReferenceSet
from iris_core.volume.label_grid import fit_label
from iris_core.volume_io import read_image, read_label, write_label
from iris_core.volume_io.folder.raw_dataset import LabelledCase

ENDING = ".nii.gz"
FIRST_NUMBER = 501  # of the datasets that are made


@dataclass(frozen=True)
class ReferenceDataset:
    """Where the dataset of a set lies, and what its label values mean.

    Attributes:
        number: nnU-Net's number of it.
        name: DatasetNNN_ReferencesN.
        values: the K label values of the original dataset; position k holds what nnU-Net calls k + 1.
    """

    number: int
    name: str
    values: tuple[int, ...]

    def original(self, array: np.ndarray) -> np.ndarray:
        """Label values 0 to K -> those of the original dataset."""
        return np.array([0, *self.values], dtype=np.int32)[array]


def write_dataset(
    raw: Path, index: int, chosen: ReferenceSet, names: dict[int, str], channel: str
) -> ReferenceDataset:
    """Writes the references of one set as a raw dataset; images are linked, not copied.

    Args:
        raw: nnU-Net's folder of raw datasets.
        index: number of the set, from 0.
        chosen: the set.
        names: value -> class name.
        channel: name of the images' channel; "CT" decides how nnU-Net normalises.

    Raises:
        InputError: images in another format than .nii.gz.
    """
    dataset = ReferenceDataset(
        FIRST_NUMBER + index, f"Dataset{FIRST_NUMBER + index}_References{index}", chosen.values
    )
    folder = raw / dataset.name
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for case in chosen.references:
        _write_case(folder, case, chosen.values)
    description = {
        "channel_names": {"0": channel},
        "labels": {"background": 0, **{names[value]: k + 1 for k, value in enumerate(chosen.values)}},
        "numTraining": len(chosen.references),
        "file_ending": ENDING,
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=1))
    return dataset


def _write_case(folder: Path, case: LabelledCase, values: tuple[int, ...]) -> None:
    if not case.image.name.endswith(ENDING):
        raise InputError("this peer reads one format", where=case.image, expected=ENDING)
    link = folder / "imagesTr" / f"{case.name}_0000{ENDING}"
    if not link.exists():
        link.symlink_to(case.image.resolve())
    label = fit_label(read_label(case.label), read_image(case.image))
    array = np.zeros(label.shape, np.uint8)
    for k, value in enumerate(values):
        array[label.array == value] = k + 1
    renumbered = replace(label, array=array, layers=(), names={}, colors={})
    write_label(renumbered, folder / "labelsTr" / f"{case.name}{ENDING}")
