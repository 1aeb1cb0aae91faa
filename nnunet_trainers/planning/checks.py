"""What must be true of a raw dataset before hours are spent on it; each breach is one sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from iris_core.errors import InputError
from iris_core.preprocessing.modality import detect_modality
from iris_core.volume.label_grid import fit_label
from iris_core.volume.label_names import read_json
from iris_core.volume_io import read_image, read_label
from iris_core.volume_io.folder.raw_dataset import LabelledCase, RawDataset
from nnunet_trainers.datasets.image_file import header_of, readable_by_nnunet
from nnunet_trainers.datasets.partial_labels import PartialLabels

LOOKED_AT = 3  # images that are asked for their modality where the channel's name does not say
READERS = 4  # threads; unpacking gzip leaves Python free


@dataclass(frozen=True)
class CheckedDataset:
    """A raw dataset that can be planned.

    Attributes:
        name: "DatasetNNN_Name".
        description: its dataset.json.
        cases: what is trained and validated on.
        labels: groups, classes and modalities; every group has a modality.
    """

    name: str
    description: Mapping
    cases: tuple[LabelledCase, ...]
    labels: PartialLabels

    def modality_of(self, case: str) -> str:
        """One of "ct", "mr" and "pet"."""
        return self.labels.modalities[self.labels.groups[case]]


def require_nnunet() -> None:
    """Says how to install nnU-Net where it is not.

    Raises:
        InputError: it is not.
    """
    if find_spec("nnunetv2") is None:
        raise InputError(
            "nnU-Net is not installed here",
            expected="nnunetv2",
            remedy='pip install "iris-incontext[nnunet]"',
        )


def find_dataset(name_or_id: str, raw: Path) -> Path:
    """The folder of "Dataset901_Name", "Name" or "901" under nnUNet_raw; a path to one is taken too.

    Raises:
        InputError: none or several.
    """
    if Path(name_or_id).joinpath("dataset.json").is_file():
        return Path(name_or_id).resolve()
    number = name_or_id.removeprefix("Dataset")
    pattern = f"Dataset{int(number):03d}_*" if number.isdigit() else f"Dataset???_{name_or_id}"
    if re.match(r"Dataset\d{3}_", name_or_id):
        pattern = name_or_id
    found = [path for path in sorted(raw.glob(pattern)) if path.is_dir()]
    if len(found) != 1:
        raise InputError(
            f"{'several datasets are' if found else 'no dataset is'} called {name_or_id}",
            where=raw,
            expected="one folder DatasetNNN_Name",
            found=", ".join(path.name for path in found) or None,
        )
    return found[0]


def channels_of(description: Mapping) -> dict[str, str]:
    """Number -> name of a dataset.json's channels."""
    return dict(description.get("channel_names") or description.get("modality") or {"0": ""})


def refuse_regions(description: Mapping, where: str | Path) -> None:
    """Raises an InputError where a dataset.json has classes of several values."""
    values = description.get("labels", {})
    regions = [name for name, value in values.items() if isinstance(value, list | tuple)]
    if regions:
        raise InputError(
            "has classes that are regions of several values",
            where=where,
            expected="one value a class",
            found=", ".join(regions),
            remedy='give each value a class of its own in "labels", and take "regions_class_order" out',
        )


def check_dataset(folder: Path) -> CheckedDataset:
    """Checks a raw dataset and finds its modality; every label is read.

    Raises:
        InputError: several channels, classes of several values, no background, values that do not follow
            each other, a format that nnU-Net cannot reorient, fewer than two cases, a value that dataset.json
            does not name, a class without a voxel, or a label that does not lie on its image.
    """
    description = read_json(folder / "dataset.json")
    channels = channels_of(description)
    if len(channels) > 1:
        raise InputError(
            "images have several channels, and Iris sees one",
            where=folder / "dataset.json",
            found=", ".join(map(str, channels.values())),
            remedy="iris union --channel makes a dataset of one of them",
        )
    refuse_regions(description, folder / "dataset.json")
    dataset = RawDataset.open(folder)
    if description["labels"].get("background") != 0:
        raise InputError(
            "names no background, which nnU-Net asks for",
            where=folder / "dataset.json",
            expected='"background": 0 in "labels"',
            found=", ".join(f"{value} = {name}" for name, value in description["labels"].items()),
        )
    if list(dataset.names) != list(range(1, len(dataset.names) + 1)):
        raise InputError(
            "label values do not follow each other, which nnU-Net asks for",
            where=folder / "dataset.json",
            expected=f"0 to {len(dataset.names)}",
            found=list(dataset.names),
            remedy="iris union of this dataset alone renumbers them",
        )
    labels = PartialLabels.of_dataset(description, [case.name for case in dataset.cases])
    if len(dataset.cases) < 2:
        raise InputError(
            "one case alone makes no episode",
            where=folder,
            expected="a reference and a query: two labelled cases or more",
            found=f"{len(dataset.cases)} case",
        )
    other = [case.image for case in dataset.cases if not readable_by_nnunet(case.image)]
    if other:
        raise InputError(
            "nnU-Net's reader cannot reorient the image",
            where=other[0],
            expected="NIfTI with three axes",
            remedy="iris union of this dataset alone converts it",
        )
    _check_labels(dataset, description["labels"], folder)
    return CheckedDataset(folder.name, description, dataset.cases, _with_modalities(dataset, labels))


def _check_labels(dataset: RawDataset, values: Mapping[str, int], folder: Path) -> None:
    with ThreadPoolExecutor(READERS) as pool:
        found = list(pool.map(lambda case: _values(case, values), dataset.cases))
    seen = {value for case in found for value in case}
    missing = [name for value, name in dataset.names.items() if value not in seen]
    if missing:
        raise InputError(
            "a class has no voxel in any case",
            where=folder,
            expected="at least one case to learn it from",
            found=", ".join(missing),
            remedy="take the class out of dataset.json, or add a case that shows it",
        )


def _values(case: LabelledCase, values: Mapping[str, int]) -> tuple[int, ...]:
    """The values of a label that lies on its image and holds no others than dataset.json names."""
    label = read_label(case.label)
    unknown = sorted(set(label.values) - set(values.values()))
    if unknown:
        raise InputError(
            "holds a value that dataset.json does not name",
            where=case.label,
            expected=", ".join(f"{value} = {name}" for name, value in values.items()),
            found=", ".join(map(str, unknown)),
            remedy="name it in dataset.json or take it out of the label",
        )
    fit_label(label, header_of(case.image))
    return label.values


def _with_modalities(dataset: RawDataset, labels: PartialLabels) -> PartialLabels:
    """The same with a modality for every group: as written, as the channel says, or as the values look."""
    modalities = dict(labels.modalities)
    for group in labels.annotated:
        images = [case.image for case in dataset.cases if labels.groups[case.name] == group]
        modalities[group] = modalities.get(group) or dataset.modality or modality_of(images)
    return replace(labels, modalities=modalities)


def modality_of(images: list[Path]) -> str:
    """What most of the first images look like."""
    votes = Counter(detect_modality(read_image(path)).name for path in images[:LOOKED_AT])
    return votes.most_common(1)[0][0]
