"""One dataset that goes into a union: which channel, which name, which weight, whose cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from iris_core.errors import InputError
from iris_core.volume.label_names import read_json
from iris_core.volume_io.folder.raw_dataset import RawDataset
from nnunet_trainers.datasets import partial_labels
from nnunet_trainers.planning.checks import channels_of, modality_of, refuse_regions

Chosen = TypeVar("Chosen")
NOTHING: Mapping = MappingProxyType({})


@dataclass(frozen=True)
class Source:
    """A dataset of a union.

    Attributes:
        dataset: its cases, one channel.
        group: its name in the union.
        modality: "ct", "mr" or "pet".
        weight: how often it is drawn, relative.
        persons: case -> person, for the cases of which that is known.
        ignore: value of the voxels that nobody judged, where the dataset has such.
    """

    dataset: RawDataset
    group: str
    modality: str
    weight: float = 1.0
    persons: Mapping[str, str] = field(default_factory=dict)
    ignore: int | None = None

    def case_name(self, case: str) -> str:
        """The case's name in the union."""
        return f"{self.group}_{case}"

    def class_name(self, name: str) -> str:
        """The class's name in the union."""
        return f"{self.group}/{name}"


def open_sources(
    folders: Sequence[Path],
    *,
    weights: Mapping[str, float] = NOTHING,
    channels: Mapping[str, int] = NOTHING,
    modalities: Mapping[str, str] = NOTHING,
    groupings: Mapping[str, Path] = NOTHING,
) -> list[Source]:
    """Opens the datasets of a union; no label is read yet.

    Args:
        folders: raw datasets.
        weights: for "901", "Name" or "Dataset901_Name" what was chosen for it.
        channels: the same.
        modalities: the same.
        groupings: the same, a file {"case": "person"}.

    Raises:
        InputError: a choice for a dataset that is not among them, several channels and none chosen, classes
            of several values, a union of unions, a dataset given twice, or fewer than two cases.
    """
    from iris_core.evaluation.pairs import read_groups

    if len(set(folders)) < len(folders):
        raise InputError("a dataset is given twice", found=", ".join(folder.name for folder in folders))
    groups = _group_names(folders)
    known = {word: folder for folder in folders for word in _called(folder)}
    for option, choices in {
        "--weight": weights, "--channel": channels, "--modality": modalities, "--persons": groupings
    }.items():  # fmt: skip
        for word in set(choices) - set(known):
            raise InputError(
                "names no dataset of the union", where=option, expected=", ".join(known), found=word
            )
    sources = []
    for folder in folders:
        description = read_json(folder / "dataset.json")
        if partial_labels.KEY in description:
            raise InputError("is a union itself", where=folder, remedy="name the datasets it was made of")
        refuse_regions(description, folder / "dataset.json")
        known_channels, chosen = channels_of(description), _chosen(channels, folder)
        if chosen is None and len(known_channels) > 1:
            raise InputError(
                "images have several channels, and a union takes one",
                where=folder,
                found=", ".join(f"{number} = {name}" for number, name in known_channels.items()),
                remedy=f"choose --channel {_called(folder)[-1]}=N",
            )
        dataset = RawDataset.open(folder, channel=chosen)
        if len(dataset.cases) < 2:
            raise InputError(
                "one case alone makes no episode",
                where=folder,
                expected="a reference and a query: two labelled cases or more",
                found="1 case",
            )
        modality = _chosen(modalities, folder) or dataset.modality
        persons = _chosen(groupings, folder)
        sources.append(
            Source(
                dataset,
                groups[folder],
                modality or modality_of([case.image for case in dataset.cases]),
                _chosen(weights, folder) or 1.0,
                read_groups(persons, dataset.cases) if persons else {},
                dataset.ignored,
            )
        )
    return sources


def _group_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The Name of DatasetNNN_Name where no two are called so, else the whole folder name."""
    short = {folder: folder.name.partition("_")[2] or folder.name for folder in folders}
    unique = len(set(short.values())) == len(folders)
    return short if unique else {folder: folder.name for folder in folders}


def _called(folder: Path) -> tuple[str, ...]:
    """The words that mean a dataset on the command line."""
    number, _, name = folder.name.partition("_")
    number = number.removeprefix("Dataset")
    return tuple(filter(None, dict.fromkeys((folder.name, name, number, number.lstrip("0")))))


def _chosen(choices: Mapping[str, Chosen], folder: Path) -> Chosen | None:
    return next((choices[word] for word in _called(folder) if word in choices), None)
