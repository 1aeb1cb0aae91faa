"""Labels that were not drawn throughout: what `--sparse` makes of them, and the line that says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.errors import InputError
from iris_core.unknown.gaps import Gaps, find_gaps
from iris_core.volume import LabelVolume

SPARSE = ("no", "slices", "scribbles")
ORDER = ("first", "second", "third")


def without_gaps(label: LabelVolume, how: str = "slices") -> LabelVolume:
    """The label in which voxels that nobody drew on are unknown, and not background.

    Args:
        label: on its image's grid.
        how: "no": as it is. "slices": classes drawn in single planes (`find_gaps`) are unknown in the planes
            between and one step beyond; a label without such gaps stays as it is. "scribbles": every voxel
            that is not drawn on is unknown.

    Raises:
        InputError: another word for `how`.
    """
    if how not in SPARSE:
        raise InputError("unknown kind of sparse label", where=how, expected=f"one of {', '.join(SPARSE)}")
    if how == "no":
        return label
    blank = np.all([layer == 0 for layer in label.layers or (label.array,)], axis=0)
    if how == "scribbles":
        return replace(label, unlabelled=dict.fromkeys(label.values, blank))
    unlabelled = {}
    for gaps in find_gaps(label, asked=True):
        for value, planes in gaps.planes.items():
            between = np.moveaxis(np.zeros(label.shape, bool), gaps.axis, 0)
            between[_between(planes, len(between))] = True
            unlabelled[value] = np.moveaxis(between, 0, gaps.axis)
            if not label.layers:  # layers may overlap
                unlabelled[value] = unlabelled[value] & blank
    return replace(label, unlabelled={**label.unlabelled, **unlabelled}) if unlabelled else label


def gap_lines(label: LabelVolume, where: str, how: str = "no") -> list[str]:
    """One sentence, for a person, on the gaps along each axis; empty where there are none to speak of.

    Args:
        label: on its image's grid.
        where: what the label is called.
        how: what is made of gaps, as in `without_gaps`.
    """
    if how == "scribbles":
        return []
    return [_line(label, gaps, where, how) for gaps in find_gaps(label, asked=how != "no")]


def _line(label: LabelVolume, gaps: Gaps, where: str, how: str) -> str:
    names = ", ".join(label.name_of(value) for value in gaps.values)
    drawn = {plane for planes in gaps.planes.values() for plane in planes}
    span, axis = label.shape[gaps.axis], f"the {ORDER[gaps.axis]} axis"
    if len(drawn) == 1:
        which = f"in one of {span} slices along {axis}"
    else:
        steps = f", every {gaps.step}" if gaps.regular else ""
        which = f"in single slices along {axis} ({len(drawn)} of {span}{steps}), with nothing between them"
    found = f"{where}: {names} drawn {which}"
    if how == "no":
        remedy = "if nobody drew on them, use the option sparse (--sparse)"
        return f"{found}; the others count as background; {remedy}"
    return f"{found}; the others are unknown, and filled from outlines and intensities"


def _between(planes: tuple[int, ...], length: int) -> np.ndarray:
    """(N,) bool: where a class was not looked for, between the planes in which it was and one step beyond."""
    unknown = np.zeros(length, bool)
    step = int(np.median(np.diff(planes))) if len(planes) > 1 else length
    unknown[max(0, planes[0] - step + 1) : planes[-1] + step] = True
    unknown[list(planes)] = False
    return unknown
