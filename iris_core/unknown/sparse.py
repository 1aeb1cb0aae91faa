"""Labels that were not drawn throughout: what `--sparse` makes of them, and the line that says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.errors import InputError
from iris_core.unknown.blocks import MOST_RUN, Planes, crossing_planes, in_planes
from iris_core.unknown.gaps import Gaps, find_gaps
from iris_core.volume import LabelVolume

SPARSE = ("no", "slices", "scribbles")
ORDER = ("first", "second", "third")


def without_gaps(label: LabelVolume, how: str = "slices") -> LabelVolume:
    """The label in which voxels that nobody drew on are unknown, and not background.

    Args:
        label: on its image's grid.
        how: "no": as it is. "slices": classes drawn in some planes (`find_gaps`) are unknown in the planes
            between and one step beyond, those drawn in planes that cross are unknown off them; a label
            without such gaps stays as it is. "scribbles": every voxel that is not drawn on is unknown.

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
    for value, planes in _crossed(label, tuple(unlabelled)).items():
        unlabelled[value] = blank & ~in_planes(label.shape, planes)
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
    found = find_gaps(label, asked=how != "no")
    lines = [_line(label, gaps, where, how) for gaps in found]
    filled = tuple(value for gaps in found for value in gaps.values)
    crossed = [label.name_of(value) for value in _crossed(label, filled)]
    if crossed:
        drawn = f"{where}: {', '.join(crossed)} drawn in slices that cross, with nothing between them"
        lines.append(_with_remedy(drawn, how))
    return lines


def _line(label: LabelVolume, gaps: Gaps, where: str, how: str) -> str:
    names = ", ".join(label.name_of(value) for value in gaps.values)
    drawn = {plane for planes in gaps.planes.values() for plane in planes}
    span, axis = label.shape[gaps.axis], f"the {ORDER[gaps.axis]} axis"
    if len(drawn) == 1:
        which = f"in one of {span} slices along {axis}"
    else:
        steps = f", every {gaps.step}" if gaps.regular else ""
        kind = "single slices" if gaps.single else "some slices"
        which = f"in {kind} along {axis} ({len(drawn)} of {span}{steps}), with nothing between them"
    return _with_remedy(f"{where}: {names} drawn {which}", how)


def _with_remedy(found: str, how: str) -> str:
    if how == "no":
        remedy = "if nobody drew on them, use the option sparse (--sparse)"
        return f"{found}; the others count as background; {remedy}"
    return f"{found}; the others are unknown, and filled from outlines and intensities"


def _crossed(label: LabelVolume, filled: tuple[int, ...]) -> dict[int, Planes]:
    """The planes of classes that were drawn in planes along several axes, the filled ones left out."""
    found = {}
    for value in label.values:
        if value not in filled and label.unknown(value) is None:
            planes = crossing_planes(label, value)
            if planes is not None:
                found[value] = planes
    return found


def _between(planes: tuple[int, ...], length: int) -> np.ndarray:
    """(N,) bool: where a class was not looked for, between the planes in which it was and one step beyond."""
    unknown = np.zeros(length, bool)
    steps = np.diff(planes)
    step = int(np.median(steps[steps > 1])) if len(planes) > 1 else length
    # an end drawn densely is the structure's own
    before, after = (
        0 if len(steps) >= MOST_RUN and (near[:MOST_RUN] == 1).all() else step - 1
        for near in (steps, steps[::-1])
    )
    unknown[max(0, planes[0] - before) : planes[-1] + after + 1] = True
    unknown[list(planes)] = False
    return unknown
