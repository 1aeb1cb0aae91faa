"""Judges a result structure by structure: in the right place? how well there? and what was expected?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.places.case import Case
from iris_core.metrics import dice

BLOCK = 12.0  # a block's side squared over its variance along that side


@dataclass(frozen=True)
class Verdict:
    """One structure of one case.

    Attributes:
        case: its name.
        group: of the bench.
        half: "A" or "B".
        place_is_visible: whether the fields of view tell the place.
        structure: its name.
        present: the query shows the structure.
        placed: the centroid lies within half the structure's smallest extent, so on the right one of several
            look-alikes. False where the result is empty, and where the query lacks the structure.
        dice: in the query's voxels; 0 where the query lacks the structure.
        expected: the Dice that the model expects.
        share: result's volume over the reference's.
    """

    case: str
    group: str
    half: str
    place_is_visible: bool
    structure: str
    present: bool
    placed: bool
    dice: float
    expected: float
    share: float


def judged(case: Case, result: np.ndarray, expected: Mapping[str, float]) -> list[Verdict]:
    """One verdict for every structure that the reference shows.

    Args:
        case: the pair.
        result: (I, J, K) label values, in the query's grid.
        expected: structure -> Dice to expect.
    """
    spacing = np.asarray(case.query.image.spacing)
    reference_voxel = float(np.prod(case.reference.image.spacing))
    verdicts = []
    for value in case.reference.label.values:
        name = case.reference.label.name_of(value)
        truth, found = case.query.label.array == value, result == value
        present = bool(truth.any())
        usual = np.count_nonzero(case.reference.label.array == value) * reference_voxel
        verdicts.append(Verdict(
            case.name, case.group, case.half, case.place_is_visible, name, present,
            placed=present and in_place(truth, found, spacing),
            dice=dice(truth, found) if present else 0.0,
            expected=float(expected.get(name, 0.0)),
            share=float(np.count_nonzero(found) * np.prod(spacing) / usual),
        ))  # fmt: skip
    return verdicts


def in_place(truth: np.ndarray, found: np.ndarray, spacing: np.ndarray) -> bool:
    """Whether the centroids of two masks (I, J, K) lie within half the smallest extent of the first.

    The extent is that along the mask's own axes, so that a slanted structure is as thin as it is; at least a
    voxel's longest side.
    """
    if not found.any():
        return False
    places = np.argwhere(truth) * spacing
    away = np.argwhere(found).mean(axis=0) * spacing - places.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov(places.T, bias=True)) if len(places) > 1 else np.zeros(3)
    thin = np.sqrt(BLOCK * max(0.0, variances[0]))
    return bool(np.linalg.norm(away) <= max(thin, spacing.max()) / 2)
