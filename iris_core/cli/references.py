"""Labelled studies from the command line: image and label read, named and checked before any network runs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from iris_core.cli.notices.class_choice import chosen_names
from iris_core.cli.notices.unnamed_values import unnamed_lines
from iris_core.errors import InputError
from iris_core.volume.label_grid import fit_label, refuse_the_image
from iris_core.volume.label_names import (
    IGNORED,
    dataset_ignored,
    dataset_label_names,
    is_placeholder,
    read_label_names,
)
from iris_core.volume.names_by_value import named_by_value, nameless
from iris_core.volume.unknown import ignored_aside
from iris_core.volume.volume import LabelVolume, Volume
from iris_core.volume_io import read_image, read_label

log = logging.getLogger(__name__)


def read_references(
    pairs: Sequence[tuple[Path, Path]],
    *,
    labels: Path | None = None,
    channel: int | None = None,
    warn: Callable[[str], None] = log.warning,
) -> list[tuple[Volume, LabelVolume]]:
    """Reads labelled studies.

    Names come from the labels file, else from the label itself, else from the dataset.json of the nnU-Net
    dataset it lies in, else from another reference that names the same value; a value that nobody names is
    called by its number.

    Args:
        pairs: image and label files.
        labels: labels file.
        channel: channel to take of images with several.
        warn: takes a line about names that were taken over, or that are missing.

    Returns:
        Images and labels, each label on its image's grid and with a name for each value that occurs.

    Raises:
        InputError: a file cannot be read, a label is empty, is the image or does not fit it, or other
            references have several names for a value that has none.
    """
    given = read_label_names(labels, ignored=True) if labels else None
    references = []
    for image_path, label_path in pairs:
        image = read_image(image_path, channel=channel)
        label = fit_label(_read(label_path, given), image)
        if not label.values:
            raise InputError(
                "the label is empty",
                where=label_path,
                expected="at least one labelled voxel",
                remedy="give a label with the structures drawn",
            )
        refuse_the_image(image, label)
        references.append((image, label))
    return _named(references, given, labels, warn)


def check_classes(
    references: Sequence[tuple[Volume, LabelVolume]], words: Sequence[str] | None
) -> tuple[str, ...] | None:
    """The wanted classes, each of which some reference shows.

    Args:
        references: with names for all their values.
        words: from the command line, where a name with a comma may have been cut; None: all classes.

    Raises:
        InputError: a class that no reference shows; the message names it and what there is.
    """
    shown = {label.names[value] for _, label in references for value in label.values}
    classes = chosen_names(words, shown)
    for name in classes or ():
        if name not in shown:
            raise InputError(
                f"class {name} is in no reference",
                where=", ".join(str(label.source) for _, label in references),
                expected=f"one of {', '.join(sorted(shown))}",
                remedy="choose other --classes, or name the values with --labels",
            )
    return classes


def _named(
    references: Sequence[tuple[Volume, LabelVolume]],
    given: dict[int, str] | None,
    file: Path | None,
    warn: Callable[[str], None],
) -> list[tuple[Volume, LabelVolume]]:
    """The references with names of other references for values without one; what is missing is said."""
    labels, lines = named_by_value([label for _, label in references])
    for label in labels:
        if given:
            lines += unnamed_lines(label, given, file)
        elif nameless(label) and label.source is not None:
            description = label.source.absolute().parent.parent / "dataset.json"
            lines += unnamed_lines(label, dataset_label_names(label.source), description)
    for line in lines:
        warn(line)
    return [(image, label) for (image, _), label in zip(references, labels, strict=True)]


def _read(path: Path, given: dict[int, str] | None) -> LabelVolume:
    """A label whose values all have names, and of which voxels to ignore are no class."""
    label = read_label(path, labels=given)
    known = {value: name for value, name in label.names.items() if not is_placeholder(name, value)}
    if not given and not set(label.values) <= set(known):
        known = {**(dataset_label_names(path) or {}), **known}
    ignored = dataset_ignored(path)
    if ignored is not None:
        known.setdefault(ignored, IGNORED)
    label = ignored_aside(replace(label, names=known))
    return replace(label, names={**{value: str(value) for value in label.values}, **label.names})
