"""Labels that were not drawn throughout: what `--sparse` makes of them, and the line that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from iris_core.errors import InputError
from iris_core.volume.unknown.blocks import MOST_RUN, crossing_planes, in_planes
from iris_core.volume.unknown.gaps import Gaps, find_gaps
from iris_core.volume.unknown.sheets import oblique_sheets
from iris_core.volume.unknown.structure import structures_of
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
    for gaps in find_gaps(label, asked=True):
        for value, one in structures_of(label, gaps.values).items():
            areas = np.zeros(label.shape[gaps.axis], int)
            areas[one.start[gaps.axis] :][: one.mask.shape[gaps.axis]] = one.along(gaps.axis).sum(axis=(1, 2))
            between = np.moveaxis(np.zeros(label.shape, bool), gaps.axis, 0)
            between[_between(gaps.planes[value], areas)] = True
            unlabelled[value] = np.moveaxis(between, 0, gaps.axis)
            if not label.layers:  # layers may overlap
                unlabelled[value] = unlabelled[value] & blank
    for value, other in _other_planes(label, tuple(unlabelled), asked=True).items():
        unlabelled[value] = blank & ~other.held(label.shape)
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
    names: dict[str, list[str]] = {}
    for value, other in _other_planes(label, filled, asked=how != "no").items():
        names.setdefault(other.kind, []).append(label.name_of(value))
    for kind, drawn in names.items():
        said = f"{where}: {', '.join(drawn)} drawn in slices that {kind}, with nothing between them"
        lines.append(_with_remedy(said, how))
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


class _Drawn(NamedTuple):
    """Planes that are no slices of one axis.

    Attributes:
        kind: in words.
        held: shape -> their voxels, bool.
    """

    kind: str
    held: Callable[[tuple[int, ...]], np.ndarray]


def _other_planes(label: LabelVolume, filled: tuple[int, ...], *, asked: bool) -> dict[int, _Drawn]:
    """The planes of classes that were drawn in planes that cross, or that lie oblique to the axes.

    Args:
        label: on its image's grid.
        filled: values of classes whose gaps are known already.
        asked: as in `find_gaps`.
    """
    values = [v for v in label.values if v not in filled and label.unknown(v) is None]
    found = {}
    for value, one in structures_of(label, values).items():
        if (planes := crossing_planes(one)) is not None:
            found[value] = _Drawn("cross", partial(in_planes, planes=planes))
        elif (sheets := oblique_sheets(one, label.spacing, asked=asked)) is not None:
            found[value] = _Drawn("lie oblique to the axes", sheets.held)
    return found


def _between(planes: tuple[int, ...], areas: np.ndarray) -> np.ndarray:
    """Where a class was not looked for: between the planes in which it was, and one step beyond.

    Args:
        planes: in which it was looked for, ascending.
        areas: (N,) voxels of the class in each plane.

    Returns:
        (N,) bool.
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
