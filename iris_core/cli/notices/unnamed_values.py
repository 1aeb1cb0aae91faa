"""What a person should know about label values that nobody named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from iris_core.volume.names_by_value import nameless
from iris_core.volume.volume import LabelVolume

SHOWN = 8  # values that a line lists


def unnamed_lines(label: LabelVolume, given: Mapping[int, str] | None, file: Path | None) -> list[str]:
    """Says which values of a label have no name though names were given, and whether the names fit at all.

    Args:
        label: with all names that could be found for its values.
        given: value -> name of the labels file or dataset.json; None where there is neither.
        file: where they stand.

    Returns:
        No line, or one.
    """
    if given is None:
        return []
    if not set(given) & set(label.values):
        named, there = listed(sorted(given)), listed(label.values)
        return [f"{file} names no value of {label.source}: it names {named}, and there are {there}"]
    if without := nameless(label):
        return [f"{label.source}: {file} does not name {listed(without)}; called by number"]
    return []


def unnamed_in(values: Mapping[str, Collection[int]], known: Collection[int], file: Path) -> list[str]:
    """Says which values lie in a dataset's labels though its dataset.json does not name them.

    Args:
        values: case -> the values of its label.
        known: named values, the one to ignore among them.
        file: the dataset.json.
    """
    cases: dict[int, list[str]] = {}
    for case, found in values.items():
        for value in set(found) - set(known) - {0}:
            cases.setdefault(value, []).append(case)
    return [
        f"value {value} is not named in {file} and counts as background: {listed(sorted(where))}"
        for value, where in sorted(cases.items())
    ]


def listed(entries: Sequence[object]) -> str:
    """The entries with commas; of many, the first ones and how many more there are."""
    more = len(entries) - SHOWN
    shown = ", ".join(map(str, entries[:SHOWN])) or "none"
    return f"{shown} and {more} more" if more > 0 else shown
