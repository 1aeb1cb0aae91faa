"""Graduation: the finished studies of a MONAI Label folder become an nnU-Net raw dataset.

Copies are made, since studies go on changing, and a manifest says by SHA-256 what came from what. Studies
that name other structures are other groups (`partial_labels`): what nobody drew there is unknown.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from pathlib import Path

from iris_core.errors import InputError
from iris_core.preprocessing.modality import detect_modality
from iris_core.stored.checksum import checksum
from iris_core.volume.label_names import IGNORED
from iris_core.volume.volume import Volume
from iris_core.volume_io import read_image, write_image, write_label
from nnunet_trainers.datasets.dataset_folder import new_dataset_folder, write_json
from nnunet_trainers.datasets.image_file import readable_by_nnunet
from nnunet_trainers.datasets.label_file import renumbered
from nnunet_trainers.datasets.partial_labels import KEY, PartialLabels
from nnunet_trainers.graduation.studies import FinalStudy

ENDING = ".nii.gz"
MANIFEST = "iris_manifest.json"


def graduate(studies: Sequence[FinalStudy], target: Path) -> PartialLabels:
    """Writes the dataset.

    Args:
        studies: finished studies; see `final_studies`.
        target: .../DatasetNNN_Name, not there yet.

    Returns:
        Which case annotates what.

    Raises:
        InputError: structures that share a voxel, a value without a name, a label off its image, names that
            differ in case alone, or a target that is there.
    """
    values = _values(studies)
    modalities, rows = {}, {}
    with new_dataset_folder(target) as folder:
        for study in studies:
            image = read_image(study.image)
            modalities[study.name] = detect_modality(image).name
            image_file = folder / "imagesTr" / f"{study.name}_0000{ENDING}"
            label_file = folder / "labelsTr" / f"{study.name}{ENDING}"
            _write_image(study, image, image_file)
            new = {value: values[name] for value, name in study.names.items()}
            ignore_as = values.get(IGNORED)
            write_label(
                renumbered(study.label, image, new, ignore=study.ignore, ignore_as=ignore_as), label_file
            )
            rows[study.name] = {
                "image": _row(study.image, image_file, folder),
                "label": _row(study.label, label_file, folder),
                "structures": sorted(study.names.values()),
            }
        labels = _partial_labels(studies, values, modalities)
        write_json(folder / "dataset.json", _description(values, labels))
        write_json(folder / MANIFEST, {"format": 1, "cases": rows})
    return labels


def _values(studies: Sequence[FinalStudy]) -> dict[str, int]:
    """Structure -> value, 1 to N, in the order of the alphabet; "ignore" gets N + 1, as nnU-Net wants it."""
    names = sorted({name for study in studies for name in study.names.values()}, key=str.casefold)
    for first, second in itertools.pairwise(names):
        if first.casefold() == second.casefold():
            raise InputError(
                "two names differ in case alone",
                expected="one name a structure",
                found=f"{first} in {_who(studies, first)}, {second} in {_who(studies, second)}",
                remedy="rename one of them in the viewer and submit again",
            )
    if any(study.ignores for study in studies):
        names.append(IGNORED)
    return {name: value for value, name in enumerate(names, start=1)}


def _who(studies: Sequence[FinalStudy], name: str) -> str:
    return next(study.name for study in studies if name in study.names.values())


def _write_image(study: FinalStudy, image: Volume, path: Path) -> None:
    if study.image.name.endswith(ENDING) and readable_by_nnunet(study.image):
        path.parent.mkdir(exist_ok=True)
        shutil.copyfile(study.image, path)
    else:
        write_image(image, path)


def _partial_labels(
    studies: Sequence[FinalStudy], values: dict[str, int], modalities: dict[str, str]
) -> PartialLabels:
    """One group for every modality and set of structures."""
    groups, annotated, of_group = {}, {}, {}
    for study in studies:
        names = tuple(sorted(study.names.values(), key=values.__getitem__))
        group = " + ".join((modalities[study.name], *names))
        groups[study.name], annotated[group], of_group[group] = group, names, modalities[study.name]
    return PartialLabels(groups, annotated, dict.fromkeys(annotated, 1.0), of_group)


def _description(values: dict[str, int], labels: PartialLabels) -> dict:
    modalities = set(labels.modalities.values())
    description = {
        "channel_names": {"0": modalities.pop().upper() if len(modalities) == 1 else "image"},
        "labels": {"background": 0, **values},
        "numTraining": len(labels.groups),
        "file_ending": ENDING,
    }
    return description if len(labels.annotated) == 1 else {**description, KEY: labels.to_json()}


def _row(source: Path, written: Path, folder: Path) -> dict[str, str]:
    return {
        "source": source.name,
        "source_sha256": checksum(source),
        "file": written.relative_to(folder).as_posix(),
        "file_sha256": checksum(written),
    }
