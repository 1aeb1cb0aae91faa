"""Labels that were not drawn throughout: what `--sparse` makes of them, and the line that says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.structure import structures_of
from iris_core.volume.unknown.crossing import CrossingPlanes, crossing_planes
from iris_core.volume.unknown.gaps import Gaps, find_gaps
from iris_core.volume.unknown.runs import MOST_RUN
from iris_core.volume.unknown.sheets import Sheets, oblique_sheets
from iris_core.volume.volume import LabelVolume

SPARSE = ("no", "slices", "scribbles")
SHRUNK = 0.75  # of the largest of the last few planes, where a structure comes to its own end (ours)
ORDER = ("first", "second", "third")


def without_gaps(label: LabelVolume, how: str = "slices") -> LabelVolume:
    """The label in which voxels that nobody drew on are unknown, and not background.

    Args:
        label: on its image's grid.
        how: "no": as it is. "slices": classes drawn in some planes (`find_gaps`) are unknown in the planes
            between and one step beyond, those drawn in planes that cross or lie oblique are unknown off
            them; a label without such gaps stays as it is. "scribbles": every voxel that is not drawn on is
            unknown.

    Raises:
        InputError: another word for `how`.
    """
    if how not in SPARSE:
        raise InputError("unknown kind of sparse label", where=how, expected=f"one of {', '.join(SPARSE)}")
    if how == "no":
        return label
    blank = np.all([layer == 0 for layer in label.layers or (label.array,)], axis=0)
    if how == "scribbles":
        return replace(label, unlabelled={value: blank for value in label.values})
    unlabelled: dict[int, np.ndarray] = {}
    structures = structures_of(label)
    for gaps in find_gaps(label, declared=True):
        for value, planes in gaps.planes.items():
            stack = structures[value].along(gaps.axis)
            areas = np.zeros(label.shape[gaps.axis], int)
            areas[stack.start :][: len(stack.areas)] = stack.areas
            between = np.moveaxis(np.zeros(label.shape, bool), gaps.axis, 0)
            between[_between(planes, areas)] = True
            unlabelled[value] = np.moveaxis(between, 0, gaps.axis)
            if not label.layers:  # layers may overlap
                unlabelled[value] = unlabelled[value] & blank
    for value, drawn in _other_planes(label, tuple(unlabelled), declared=True).items():
        unlabelled[value] = blank & ~drawn.held(label.shape)
    return replace(label, unlabelled={**label.unlabelled, **unlabelled}) if unlabelled else label


def gap_lines(label: LabelVolume, where: str, how: str = "no") -> list[str]:
    """One sentence, for a person, on the gaps of a label along each axis; empty where there are none.

    `where` names the label in them; `how` says what is made of the gaps, as in `without_gaps`.
    """
    if how == "scribbles":
        return []
    found = find_gaps(label, declared=how != "no")
    lines = [_gaps_in_words(label, gaps) for gaps in found]
    filled = tuple(value for gaps in found for value in gaps.values)
    names: dict[str, list[str]] = {}
    for value, drawn in _other_planes(label, filled, declared=how != "no").items():
        names.setdefault(drawn.kind, []).append(label.name_of(value))
    lines += [
        f"{', '.join(own)} drawn in slices that {kind}, with nothing between them"
        for kind, own in names.items()
    ]
    rest = "the others are unknown, and filled from outlines and intensities"
    if how == "no":
        remedy = "if nobody drew on them, use the option sparse (--sparse)"
        rest = f"the others count as background; {remedy}"
    return [f"{where}: {line}; {rest}" for line in lines]


def _gaps_in_words(label: LabelVolume, gaps: Gaps) -> str:
    names = ", ".join(label.name_of(value) for value in gaps.values)
    drawn = {plane for planes in gaps.planes.values() for plane in planes}
    span, axis = label.shape[gaps.axis], f"the {ORDER[gaps.axis]} axis"
    if len(drawn) == 1:
        return f"{names} drawn in one of {span} slices along {axis}"
    steps = f", every {gaps.step}" if gaps.regular else ""
    kind = "single slices" if gaps.single else "some slices"
    return f"{names} drawn in {kind} along {axis} ({len(drawn)} of {span}{steps}), with nothing between them"


def _other_planes(
    label: LabelVolume, filled: tuple[int, ...], *, declared: bool
) -> dict[int, CrossingPlanes | Sheets]:
    """Value -> planes of classes drawn in planes that cross, or that lie oblique to the axes.

    Classes whose gaps are filled already, or of which the label leaves voxels unknown, are left aside.
    """
    found: dict[int, CrossingPlanes | Sheets] = {}
    for value, one in structures_of(label).items():
        if value not in filled and label.unknown(value) is None:
            planes = crossing_planes(one) or oblique_sheets(one, label.spacing, declared=declared)
            if planes is not None:
                found[value] = planes
    return found


def _between(planes: tuple[int, ...], areas: np.ndarray) -> np.ndarray:
    """(N,) bool: planes that nobody checked for a class, between those checked and one step beyond.

    `areas` are the voxels of the class in each of all N planes.
    """
    unknown = np.zeros(len(areas), bool)
    steps = np.diff(planes)
    step = int(np.median(steps[steps > 1])) if len(planes) > 1 else len(areas)
    before, after = (
        0 if _is_whole_end(areas[list(end)], near) else step - 1
        for end, near in ((planes, steps), (planes[::-1], steps[::-1]))
    )
    unknown[max(0, planes[0] - before) : planes[-1] + after + 1] = True
    unknown[list(planes)] = False
    return unknown


def _is_whole_end(areas: np.ndarray, steps: np.ndarray) -> bool:
    """Whether a class was drawn densely up to its own end, from which areas and steps are counted."""
    dense = len(steps) >= MOST_RUN and bool((steps[:MOST_RUN] == 1).all())
    return dense and areas[0] <= SHRUNK * areas[: MOST_RUN + 1].max()
