"""Labelled studies from the command line: image and label read, named and checked before any network runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from iris_core.errors import InputError
from iris_core.label_names import dataset_label_names, read_label_names
from iris_core.lattice import fit_label
from iris_core.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label


def read_references(
    pairs: Sequence[tuple[Path, Path]], *, labels: Path | None = None, channel: int | None = None
) -> list[tuple[Volume, LabelVolume]]:
    """Reads labelled studies.

    Names come from the labels file, else from the label itself, else from the dataset.json of the nnU-Net
    dataset it lies in; a value that nobody names is called by its number.

    Args:
        pairs: image and label files.
        labels: labels file.
        channel: channel to take of images with several.

    Returns:
        Images and labels, each label on its image's grid and with a name for each value that occurs.

    Raises:
        InputError: a file cannot be read, a label is empty, or it does not fit its image.
    """
    given = read_label_names(labels) if labels else None
    references = []
    for image_path, label_path in pairs:
        image = read_image(image_path, channel=channel)
        label = fit_label(read_label(label_path, labels=given), image)
        if not label.values:
            raise InputError(
                "the label is empty",
                where=label_path,
                expected="at least one labelled voxel",
                remedy="give a label with the structures drawn",
            )
        references.append((image, replace(label, names=_names(label, given, label_path))))
    return references


def check_classes(references: Sequence[tuple[Volume, LabelVolume]], classes: Sequence[str] | None) -> None:
    """Makes sure that every wanted class is drawn in some reference.

    Raises:
        InputError: a class that no reference shows; the message names it and what there is.
    """
    shown = {label.names[value] for _, label in references for value in label.values}
    for name in classes or ():
        if name not in shown:
            raise InputError(
                f"class {name} is in no reference",
                where=", ".join(str(label.source) for _, label in references),
                expected=f"one of {', '.join(sorted(shown))}",
                remedy="choose other --classes, or name the values with --labels",
            )


def _names(label: LabelVolume, given: dict[int, str] | None, path: Path) -> dict[int, str]:
    known = dict(label.names) or ({} if given else dataset_label_names(path) or {})
    return {**{value: str(value) for value in label.values}, **known}
