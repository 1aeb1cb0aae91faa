"""References without names beside references with names: a value is called what the others call it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iris_core.errors import InputError
from iris_core.volume.label_names import is_placeholder
from iris_core.volume.volume import LabelVolume


def named_by_value(labels: Sequence[LabelVolume]) -> tuple[list[LabelVolume], list[str]]:
    """Labels whose values without a name have the one name that the other labels have for them.

    For each label that took names over there is a line with these names.

    Raises:
        InputError: other labels have different names for such a value, or the label itself has the name
            already for another value.
    """
    named, lines = [], []
    for label in labels:
        taken = {value: name for value in nameless(label) if (name := _name_elsewhere(value, label, labels))}
        named.append(replace(label, names={**label.names, **taken}) if taken else label)
        if taken:
            read = ", ".join(f"{value} = {name}" for value, name in taken.items())
            lines.append(f"{label.source}: names no values, so they are read as in the other labels: {read}")
    return named, lines


def nameless(label: LabelVolume) -> list[int]:
    """The values that occur and have no name but their number."""
    return [value for value in label.values if is_placeholder(label.names.get(value, str(value)), value)]


def _name_elsewhere(value: int, label: LabelVolume, labels: Sequence[LabelVolume]) -> str | None:
    """What the other labels call a value; None where they do not name it."""
    names: dict[str, LabelVolume] = {}
    for other in labels:
        name = other.names.get(value)
        if other is not label and name is not None and not is_placeholder(name, value):
            names.setdefault(name, other)
    if not names:
        return None
    name, *others = names
    own = [number for number in label.values if number != value and label.names.get(number) == name]
    if others or own:
        elsewhere = "several elsewhere" if others else f"elsewhere the name of value {own[0]}"
        raise InputError(
            f"value {value} has no name here, and {elsewhere}",
            where=label.source,
            expected="one name a value" if others else "one value a name",
            found=", ".join(f"{name} ({other.source})" for name, other in names.items()),
            remedy="name the values of every label with --labels, or store the names in this one",
        )
    return name
