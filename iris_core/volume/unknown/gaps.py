"""Finding the slices that nobody drew on: a label that stands in few planes with gaps between them.

The anatomy has gaps as well: two vertebrae, lesions here and there, a structure of one thick slice. A label
counts as sparse where its planes stand alone and show one and the same structure at the same place, plane
after plane, where runs of planes were left out (runs.py), or where it is far wider than the one or two slices
that show it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from iris_core.volume.structure import Stack, Structure, run_lengths, structures_of
from iris_core.volume.unknown.crossing import crossing_planes
from iris_core.volume.unknown.runs import SAME_PLACE, in_blocks, is_cut
from iris_core.volume.volume import LabelVolume

WIDE = 4.0  # times the slices' distance that a structure measures, when one slice cannot be all (ours)
LEAST_WIDE = 8  # voxels that it measures in plane then (ours)
DECLARED = 0.5  # of both, where a person says that the label is sparse (ours)
MOST_PAIRS = 0.3  # of the runs of drawn planes that may be two planes long (ours)
REGULAR = 4  # planes at equal distances that cannot be chance (ours)


@dataclass(frozen=True)
class Gaps:
    """Planes of a label that were drawn on, while others were not.

    Args:
        axis: of the array, which the planes are perpendicular to.
        planes: value -> planes that were checked for it, ascending, for each class that was not drawn
            throughout.
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


def find_gaps(label: LabelVolume, *, declared: bool = False) -> tuple[Gaps, ...]:
    """The gaps of a label, at most one of each axis; empty for a label that was drawn throughout.

    Classes that were drawn throughout may stand beside others that were not, and these beside others again
    that were drawn along another axis.

    Args:
        label: on its image's grid.
        declared: a person says that it was not drawn throughout, so weaker signs of gaps are enough.
    """
    found: list[Gaps] = []
    classes = {v: one for v, one in structures_of(label).items() if not _hides_planes(one, label.unknown(v))}
    while classes:
        candidates = [_along(classes, axis, label.spacing, declared) for axis in range(3)]
        best = min(candidates, key=lambda gaps: (-len(gaps.planes), gaps.axis))
        if not best.planes:
            break
        found.append(best)
        classes = {value: one for value, one in classes.items() if value not in best.planes}
    return tuple(found)


def _hides_planes(one: Structure, unknown: np.ndarray | None) -> bool:
    """Whether the label itself marks whole planes of a class's box as unknown."""
    if unknown is None:
        return False
    near = unknown[tuple(slice(low, low + side) for low, side in zip(one.start, one.mask.shape, strict=True))]
    return any(near.all(axis=tuple(a for a in range(3) if a != axis)).any() for axis in range(3))


def _along(classes: Mapping[int, Structure], axis: int, sizes: Sequence[float], declared: bool) -> Gaps:
    """The gaps along one axis, of classes by value; `sizes` are those of a voxel, mm."""
    stacks = {value: one.along(axis) for value, one in classes.items()}
    shown = {value: stack.planes for value, stack in stacks.items()}
    thin = {value: stacks[value] for value, planes in shown.items() if _stand_alone(planes)}
    single = thin if thin and _one_structure(thin, 1 if declared else 2) else {}
    runs = set()
    for value in stacks.keys() - thin.keys():
        cut = is_cut(stacks[value], declared=declared) and crossing_planes(classes[value]) is None
        if cut or in_blocks(stacks[value], declared=declared):
            runs.add(value)
    if found := {v: planes for v, planes in shown.items() if v in single or v in runs}:
        union = np.unique(np.concatenate(list(found.values())))
        if runs:  # a smaller class shows too few runs by itself
            parts = {v for v, planes in shown.items() if stacks[v].gaps and _in_step(planes, union)}
            found = {v: planes for v, planes in shown.items() if v in found or v in parts}
        return Gaps(axis, {v: _checked(planes, union) for v, planes in found.items()})
    scale = DECLARED if declared else 1.0
    wide = [v for v in thin if len(shown[v]) <= 2 and _is_wide(classes[v], axis, sizes, scale)]
    return Gaps(axis, {v: tuple(shown[v].tolist()) for v in wide})


def _checked(own: np.ndarray, union: np.ndarray) -> tuple[int, ...]:
    """The planes that were checked for a class: those of any class where all share one pattern."""
    shared = _in_step(own, union) or len(set(np.diff(union).tolist())) == 1
    return tuple((union if shared else own).tolist())


def _in_step(own: np.ndarray, union: np.ndarray) -> bool:
    """Whether a class shows in each plane of the union from its own first to its own last."""
    return np.array_equal(union[(union >= own[0]) & (union <= own[-1])], own)


def _stand_alone(planes: np.ndarray) -> bool:
    """Whether the planes do not lie side by side, but for a few pairs."""
    runs = run_lengths(planes)
    return bool(runs.max() <= 2 and (runs == 2).sum() <= MOST_PAIRS * len(runs))


def _one_structure(stacks: Mapping[int, Stack], least: int) -> bool:
    """Whether each class goes on at the same place from plane to plane, or the planes are too regular.

    `least` is the number of pairs of planes that must show it.
    """
    union = np.unique(np.concatenate([stack.planes for stack in stacks.values()]))
    steps = set(np.diff(union).tolist())
    if len(union) >= REGULAR and len(steps) == 1 and steps != {1}:
        return True
    shares = [
        stack.shared(*pair)
        for stack in stacks.values()
        for pair in itertools.pairwise(np.flatnonzero(stack.areas).tolist())
    ]
    return len(shares) >= least and float(np.median(shares)) >= SAME_PLACE


def _is_wide(one: Structure, axis: int, sizes: Sequence[float], scale: float) -> bool:
    """Whether a class is so wide in its planes that the next slices must show it too."""
    voxels = np.array(one.mask.shape)
    shortest = np.delete(voxels * sizes, axis).min()
    return bool(
        shortest >= scale * WIDE * sizes[axis] and np.delete(voxels, axis).min() >= scale * LEAST_WIDE
    )
