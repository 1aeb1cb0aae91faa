"""A dataset in nnU-Net's raw layout: imagesTr/CASE_0000.ext, labelsTr/CASE.ext and dataset.json."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from iris_core.errors import InputError
from iris_core.label_names import parse_label_names, read_json


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
        cases: cases in name order.
    """

    folder: Path
    names: dict[int, str]
    modality: str | None
    cases: tuple[LabelledCase, ...]

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
        names = parse_label_names(description, where=folder / "dataset.json")
        channels = dict(description.get("channel_names") or description.get("modality") or {"0": ""})
        ending = str(description.get("file_ending", ".nii.gz"))
        channel = _choose_channel(channels, channel, folder)
        labels = sorted((folder / "labelsTr").glob(f"*{ending}"))
        if not labels:
            raise InputError("no labels", where=folder / "labelsTr", expected=f"CASE{ending} files")
        cases = []
        for label in labels:
            name = label.name.removesuffix(ending)
            image = folder / "imagesTr" / f"{name}_{channel:04d}{ending}"
            if not image.is_file():
                raise InputError("a label has no image", where=label, expected=image)
            cases.append(LabelledCase(name, image, label))
        return cls(folder, names, _modality(channels.get(str(channel), "")), tuple(cases))

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
