"""Finding the slices that nobody drew on: a label that stands in few planes with gaps between them.

The anatomy has gaps as well: two vertebrae, lesions here and there, a structure of one thick slice. A label
counts as sparse where its planes stand alone and show one and the same structure at the same place, plane
after plane, where runs of planes are cut off at full size (cuts.py), or where it is far wider than the one or
two slices that show it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.volume.unknown.blocks import crossing_planes, in_blocks
from iris_core.volume.unknown.cuts import is_cut
from iris_core.volume.unknown.structure import Structure, structures_of
from iris_core.volume.volume import LabelVolume

SAME_PLACE = 0.3  # of the smaller of two outlines that the other covers, in one structure (ours)
WIDE = 4.0  # times the slices' distance that a structure measures, when one slice cannot be all (ours)
LEAST_WIDE = 8  # voxels that it measures in plane then (ours)
ASKED = 0.5  # of both, where a person says that the label is sparse (ours)
MOST_PAIRS = 0.3  # of the runs of drawn planes that may be two planes long (ours)
REGULAR = 4  # planes at equal distances that cannot be chance (ours)


@dataclass(frozen=True)
class Gaps:
    """Planes of a label that were drawn on, while others were not.

    Args:
        axis: of the array, which the planes are perpendicular to.
        planes: value of a class -> planes in which it was looked for, ascending, for each class that was not
            drawn throughout.
    """

    axis: int
    planes: Mapping[int, tuple[int, ...]]

    @property
    def values(self) -> tuple[int, ...]:
        """Of the classes that were not drawn throughout."""
        return tuple(self.planes)

    @property
    def step(self) -> int:
        """Planes from one drawn plane to the next, the median; 0 where all are single."""
        return int(np.median(steps)) if (steps := self._steps()) else 0

    @property
    def single(self) -> bool:
        """Whether hardly any of the planes lie side by side."""
        return all(_stand_alone(np.array(planes)) for planes in self.planes.values())

    @property
    def regular(self) -> bool:
        """Whether all steps are the same."""
        return len(set(self._steps())) == 1

    def _steps(self) -> list[int]:
        return [step for planes in self.planes.values() for step in np.diff(planes).tolist()]


def find_gaps(label: LabelVolume, *, asked: bool = False) -> tuple[Gaps, ...]:
    """The gaps of a label, at most one of each axis; empty for a label that was drawn throughout.

    Classes that were drawn throughout may stand beside others that were not, and these beside others again
    that were drawn along another axis.

    Args:
        label: on its image's grid.
        asked: a person says that it was not drawn throughout, so less is asked of it.
    """
    found: list[Gaps] = []
    classes = structures_of(label, [value for value in label.values if not _told(label, value)])
    while classes:
        candidates = [_along(classes, axis, label.spacing, asked) for axis in range(3)]
        best = min(candidates, key=lambda gaps: (-len(gaps.planes), gaps.axis))
        if not best.planes:
            break
        found.append(best)
        classes = {value: one for value, one in classes.items() if value not in best.planes}
    return tuple(found)


def _told(label: LabelVolume, value: int) -> bool:
    """Whether the label itself says that it knows nothing of a class in planes between others."""
    unknown = label.unknown(value)
    if unknown is None:
        return False
    one = structures_of(label, [value])[value]
    near = tuple(slice(low, low + side) for low, side in zip(one.start, one.mask.shape, strict=True))
    axes = [unknown[near].all(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    return any(bool(planes.any()) for planes in axes)


def _along(classes: Mapping[int, Structure], axis: int, sizes: Sequence[float], asked: bool) -> Gaps:
    """The gaps along one axis, of classes by value; `sizes` are those of a voxel, mm."""
    shown = {value: one.planes(axis) for value, one in classes.items()}
    thin = {v: planes for v, planes in shown.items() if _stand_alone(planes)}
    single = thin if thin and _one_structure(classes, axis, thin, 1 if asked else 2) else {}
    runs = set()
    for value in shown.keys() - thin.keys():
        one = classes[value]
        planes, mask = shown[value] - one.start[axis], one.along(axis)
        cut = is_cut(planes, mask, asked=asked) and crossing_planes(one) is None
        if cut or in_blocks(planes, mask, asked=asked):
            runs.add(value)
    if found := {v: planes for v, planes in shown.items() if v in single or v in runs}:
        union = np.unique(np.concatenate(list(found.values())))
        if runs:  # a smaller class shows too few runs by itself
            found = {v: p for v, p in shown.items() if v in found or _is_part(p, union)}
        return Gaps(axis, {v: _looked_at(planes, union) for v, planes in found.items()})
    scale = ASKED if asked else 1.0
    wide = {
        v: planes
        for v, planes in thin.items()
        if len(planes) <= 2 and _is_wide(classes[v], axis, sizes, scale)
    }
    return Gaps(axis, {v: tuple(planes.tolist()) for v, planes in wide.items()})


def _looked_at(own: np.ndarray, union: np.ndarray) -> tuple[int, ...]:
    """The planes in which a class was looked for: those of all classes, where they share one pattern.

    Args:
        own: planes that show the class.
        union: planes that show any class.
    """
    inside = union[(union >= own[0]) & (union <= own[-1])]
    shared = np.array_equal(inside, own) or len(set(np.diff(union).tolist())) == 1
    return tuple((union if shared else own).tolist())


def _is_part(own: np.ndarray, union: np.ndarray) -> bool:
    """Whether planes with gaps between them are those of the pattern, from the first to the last."""
    inside = union[(union >= own[0]) & (union <= own[-1])]
    return np.array_equal(inside, own) and bool((np.diff(own) > 1).any())


def _stand_alone(planes: np.ndarray) -> bool:
    """Whether the planes do not lie side by side, but for a few pairs."""
    runs = np.diff(np.flatnonzero(np.concatenate([[True], np.diff(planes) > 1, [True]])))
    return bool(runs.max() <= 2 and (runs == 2).sum() <= MOST_PAIRS * len(runs))


def _one_structure(
    classes: Mapping[int, Structure], axis: int, shown: Mapping[int, np.ndarray], least: int
) -> bool:
    """Whether each class goes on at the same place from plane to plane, or the planes are too regular.

    Args:
        classes: as in `_along`.
        axis: as in `_along`.
        shown: value -> planes that show it.
        least: pairs of planes that must tell.
    """
    union = np.unique(np.concatenate(list(shown.values())))
    steps = set(np.diff(union).tolist())
    if len(union) >= REGULAR and len(steps) == 1 and steps != {1}:
        return True
    shares = []
    for value, planes in shown.items():
        mask, own = classes[value].along(axis), planes - classes[value].start[axis]
        for first, second in itertools.pairwise(own):
            smaller = min(mask[first].sum(), mask[second].sum())
            shares.append(float((mask[first] & mask[second]).sum() / smaller))
    return len(shares) >= least and float(np.median(shares)) >= SAME_PLACE


def _is_wide(one: Structure, axis: int, sizes: Sequence[float], scale: float) -> bool:
    """Whether a class is so wide in its planes that the next slices must show it too."""
    voxels = np.array(one.mask.shape)
    shortest = np.delete(voxels * sizes, axis).min()
    return bool(
        shortest >= scale * WIDE * sizes[axis] and np.delete(voxels, axis).min() >= scale * LEAST_WIDE
    )
