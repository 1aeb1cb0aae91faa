"""Reading a final label with the names of its classes, wherever they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from apps.iris_app.catalogue.class_register import ClassRegister
from apps.iris_app.catalogue.study import FinalLabel
from iris_core.errors import InputError
from iris_core.volume.label_names import is_ignored, is_placeholder, read_label_names
from iris_core.volume.label_values import label_dtype
from iris_core.volume.unknown import ignored_aside
from iris_core.volume.volume import LabelVolume
from iris_core.volume_io import read_label

NAME_FILES = ("labels.json", "dataset.json")  # of a whole studies folder


def read_final(final: FinalLabel, studies: Path | None = None) -> LabelVolume:
    """Reads a final label by the reader of the command line.

    A value's name is taken from the file, else from the datastore, else from labels.json or dataset.json in
    the studies folder. A value that nobody names is called label_<value>.

    Args:
        final: the label.
        studies: folder of the images.

    Raises:
        InputError: the file cannot be read, or nothing is drawn in it.
    """
    label = read_label(final.path)
    own = _real(label.names)
    if not set(label.values) <= set(own):
        folder = folder_names(studies)
        ignored = {value: name for value, name in folder.items() if is_ignored(name)}
        names = {**label.names, **ignored, **(_real(final.names or {}) or folder), **own}
        label = ignored_aside(replace(label, names=names))
    if not label.values:
        raise InputError("the label is empty", where=final.path, remedy="draw something in it")
    return label


def folder_names(studies: Path | None) -> dict[int, str]:
    """Value -> name for a whole studies folder, the value to ignore among them; empty where no file says so.

    Raises:
        InputError: there is such a file and it is broken.
    """
    if studies is None:
        return {}
    for name in NAME_FILES:
        if (studies / name).is_file():
            return read_label_names(studies / name, ignored=True)
    return {}


def _real(names: Mapping[int, str]) -> dict[int, str]:
    """The names without those that only repeat their value."""
    return {value: name for value, name in names.items() if not is_placeholder(name, value)}


def in_register(label: LabelVolume, register: ClassRegister) -> LabelVolume:
    """The label with the register's names and numbers; two values of one name become one class."""
    moved = {value: register.add(label.name_of(value), label.colors.get(value)) for value in label.values}
    numbers = moved.values()
    return replace(
        label,
        array=_renumbered(label.array, moved),
        layers=tuple(_renumbered(layer, moved) for layer in label.layers),
        names={number: register.name(number) for number in numbers},
        colors={number: register.color(number) for number in numbers},
        unlabelled={moved[value]: mask for value, mask in label.unlabelled.items() if value in moved},
    )


def _renumbered(array: np.ndarray, moved: Mapping[int, int]) -> np.ndarray:
    result = np.zeros(array.shape, label_dtype(max(moved.values(), default=0)))
    for value, number in moved.items():
        result[array == value] = number
    return result
