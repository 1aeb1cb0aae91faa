"""A dataset in nnU-Net's raw layout: imagesTr/CASE_0000.ext, labelsTr/CASE.ext and dataset.json.

Or dataset.json lists the cases: "dataset": {CASE: {"images": [path, ...], "label": path}}.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iris_core.errors import InputError
from iris_core.volume.label_names import IGNORED, is_ignored, parse_label_names, read_json


@dataclass(frozen=True)
class LabelledCase:
    """One case: its name, its image file and its label file."""

    name: str
    image: Path
    label: Path


@dataclass(frozen=True)
class RawDataset:
    """The labelled cases of one dataset.

    Attributes:
        folder: where it lies.
        names: label value -> class name, without the background.
        modality: "ct", "pet" or "mr", from the first channel's name; None when the name says nothing.
        ignored: label value of the voxels to ignore; None when dataset.json names none.
        cases: cases in name order.
    """

    folder: Path
    names: dict[int, str]
    modality: str | None
    cases: tuple[LabelledCase, ...]
    ignored: int | None = None

    @property
    def label_names(self) -> dict[int, str]:
        """Value -> name to read labels with: the classes, and the value to ignore where there is one."""
        return self.names if self.ignored is None else {**self.names, self.ignored: IGNORED}

    @classmethod
    def open(cls, folder: str | Path, *, channel: int | None = None) -> RawDataset:
        """Lists a dataset; no image is read.

        Args:
            folder: the dataset's folder, which holds dataset.json.
            channel: which channel to take; needed when there are several.

        Raises:
            InputError: the layout is broken, a label has no image, or channels are many and none is chosen.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError("no such folder", where=folder, expected="a dataset in nnU-Net's raw layout")
        description = read_json(folder / "dataset.json")
        names = parse_label_names(description, where=folder / "dataset.json", ignored=True)
        ignored = next((value for value, name in names.items() if is_ignored(name)), None)
        if ignored is not None:
            del names[ignored]
        channels = dict(description.get("channel_names") or description.get("modality") or {"0": ""})
        ending = str(description.get("file_ending", ".nii.gz"))
        channel = _choose_channel(channels, channel, folder)
        if "dataset" in description:
            cases = _listed(description["dataset"], channel, folder)
        else:
            cases = _in_folders(folder, ending, channel)
        return cls(folder, names, _modality(channels.get(str(channel), "")), cases, ignored)

    def chosen(self, selection: str | None) -> tuple[LabelledCase, ...]:
        """Gives the cases that a selection names.

        Args:
            selection: "A-B", positions in name order counted from 1, both included; or case names separated
                by commas; None for all.

        Raises:
            InputError: a position or name that the dataset does not have.
        """
        if selection is None:
            return self.cases
        if span := re.fullmatch(r"\s*(\d+)\s*-\s*(\d+)\s*", selection):
            first, last = int(span[1]), int(span[2])
            if not 1 <= first <= last <= len(self.cases):
                raise InputError(
                    "no such range of cases",
                    where="--cases",
                    expected=f"A-B within 1-{len(self.cases)}",
                    found=selection,
                )
            return self.cases[first - 1 : last]
        by_name = {case.name: case for case in self.cases}
        wanted = [name.strip() for name in selection.split(",") if name.strip()]
        for name in wanted:
            if name not in by_name:
                raise InputError(
                    "no such case", where="--cases", expected=f"names like {self.cases[0].name}", found=name
                )
        return tuple(by_name[name] for name in wanted)


def _in_folders(folder: Path, ending: str, channel: int) -> tuple[LabelledCase, ...]:
    # a glob finds hidden files too: macOS leaves ._CASE.nii.gz beside CASE.nii.gz
    labels = sorted(p for p in (folder / "labelsTr").glob(f"*{ending}") if p.name[:1] != ".")
    if not labels:
        raise InputError("no labels", where=folder / "labelsTr", expected=f"CASE{ending} files")
    cases = []
    for label in labels:
        name = label.name.removesuffix(ending)
        image = folder / "imagesTr" / f"{name}_{channel:04d}{ending}"
        if not image.is_file():
            raise InputError("a label has no image", where=label, expected=image)
        cases.append(LabelledCase(name, image, label))
    return tuple(cases)


def _listed(entries: Mapping, channel: int, folder: Path) -> tuple[LabelledCase, ...]:
    """Cases that dataset.json lists with their paths, relative to the folder, variables expanded."""
    cases = []
    for name, entry in sorted(entries.items()):
        image, label = (
            Path(os.path.abspath(folder / os.path.expandvars(path)))  # noqa: PTH100, links stay
            for path in (entry["images"][channel], entry["label"])
        )
        for path in (image, label):
            if not path.is_file():
                raise InputError(
                    f"case {name} names a file that is not there", where=folder / "dataset.json", found=path
                )
        cases.append(LabelledCase(name, image, label))
    return tuple(cases)


def _choose_channel(channels: dict[str, str], channel: int | None, folder: Path) -> int:
    if channel is None and len(channels) > 1:
        raise InputError(
            "images have several channels",
            where=folder,
            expected="one channel",
            found=", ".join(f"{number} = {name}" for number, name in channels.items()),
            remedy="choose --channel N",
        )
    if channel is not None and str(channel) not in channels:
        raise InputError("no such channel", where=folder, expected=", ".join(channels), found=channel)
    return int(next(iter(channels))) if channel is None else channel


def _modality(channel_name: str) -> str | None:
    name = channel_name.strip().lower()
    if name in ("ct", "cbct"):
        return "ct"
    if name in ("pet", "suv"):
        return "pet"
    return "mr" if re.match(r"mr|t1|t2|flair|adc|dwi", name) else None
