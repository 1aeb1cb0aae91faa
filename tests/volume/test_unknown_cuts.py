"""Labels drawn in runs of slices in any pattern, or in planes oblique to the axes; and what only looks so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from iris_core.metrics import dice
from iris_core.volume.unknown import completed, find_gaps, gap_lines, without_gaps
from iris_core.volume.volume import LabelVolume, Volume
from tests.solids import solids

SHAPE = (60, 56, 64)
GRID = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).astype(float)
MIDDLE = np.array(SHAPE) / 2
#: Lengths of runs that are drawn and of gaps that are not, in turn, until the slices are used up.
PATTERNS = {
    "three drawn, gaps irregular": (3, 5, 3, 9, 3, 4, 3, 7, 3, 5, 3, 8, 3, 9),
    "runs and gaps irregular": (2, 3, 5, 6, 1, 4, 4, 2, 3, 7, 1, 1, 6, 3, 2, 5, 4, 6),
    "long runs": (11, 6, 8, 4, 10, 7, 12, 5, 9),
    "a slice forgotten here and there": (13, 1, 9, 1, 12, 1, 10, 1, 14, 1, 9),
}


def whole() -> tuple[Volume, np.ndarray]:
    """A bumpy oblique body in noise, and its mask."""
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(3, 3)))[0]
    bumps = 1 + 0.1 * np.sin(GRID[..., 0] / 8) * np.cos(GRID[..., 2] / 6)
    mask = ((((GRID - MIDDLE) @ turn) / (18, 22, 25)) ** 2).sum(-1) < bumps
    values = np.where(mask, 160, 100) + np.random.default_rng(0).normal(0, 8, SHAPE)
    return Volume(values.astype(np.float32), np.eye(4)), mask


def slices_of(pattern: tuple[int, ...], length: int) -> np.ndarray:
    drawn = np.repeat(np.arange(len(pattern)) % 2 == 0, pattern)
    return np.pad(drawn, (0, max(0, length - len(drawn))))[:length]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", PATTERNS)
def test_one_structure_with_slices_left_out_in_any_pattern_is_found_and_filled(name, axis):
    image, mask = whole()
    kept = np.expand_dims(slices_of(PATTERNS[name], SHAPE[axis]), tuple(a for a in range(3) if a != axis))
    label = LabelVolume((mask & kept).astype(np.uint8), np.eye(4))
    (gaps,) = find_gaps(label)
    (line,) = gap_lines(label, "x")
    assert gaps.axis == axis and "some slices" in line and "--sparse" in line
    marked = without_gaps(label)
    assert dice(completed(marked, image).array == 1, mask) > 0.93
    assert not (marked.unknown(1) & (label.array == 1)).any()


def discs(roundness: float, lean: float) -> np.ndarray:
    """A stack of flat bodies that end by their own border: lens-like, or with rounded edges, or leaning."""
    mask, depth = np.zeros(SHAPE, bool), 6.0
    while depth < 58:
        normal = np.array([np.sin(lean * (depth - 32) / 32), 0, 1.0])
        away = GRID - (30, 28, depth)
        high = away @ (normal / np.linalg.norm(normal))
        aside = np.sqrt(np.maximum((away**2).sum(-1) - high**2, 0))
        mask |= (np.abs(high) / 3.5) ** roundness + (aside / 17) ** roundness < 1
        depth += 12
    return mask


@pytest.mark.parametrize("lean", [0.0, 0.3])
@pytest.mark.parametrize("roundness", [2, 3, 6])
def test_bodies_of_their_own_one_over_the_other_are_whole(roundness, lean):
    label = LabelVolume(discs(roundness, lean).astype(np.uint8), np.eye(4))
    assert find_gaps(label) == find_gaps(label, declared=True) == ()
    assert gap_lines(label, "x") == gap_lines(label, "x", "slices") == [] and without_gaps(label) is label


@pytest.mark.parametrize("sizes", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.0)])
@pytest.mark.parametrize(("degrees", "count"), [(8, 4), (30, 4), (45, 3), (20, 1)])
def test_planes_oblique_to_the_axes_are_found_and_filled(degrees, count, sizes):
    image, mask = whole()
    affine = np.diag([*sizes, 1.0])
    lean = np.radians(degrees)
    normal = np.array([np.sin(lean), 0.6 * np.sin(lean), np.cos(lean)])
    normal /= np.linalg.norm(normal)
    high = ((GRID - MIDDLE) * sizes) @ normal
    step, half = 8 * sizes[2], np.abs(normal * sizes).sum() / 2
    drawn = [n * step for n in range(-(count // 2), count - count // 2)]
    near = np.min([np.abs(high - depth) for depth in drawn], axis=0) < half
    label = LabelVolume((mask & near).astype(np.uint8), affine)
    (line,) = gap_lines(label, "x")
    assert "oblique" in line and "\n" not in line and "--sparse" in line
    assert "are unknown" in gap_lines(label, "x", "slices")[0]
    found = completed(without_gaps(label), replace(image, affine=affine)).array == 1
    inside = mask & (np.abs(high) < step * max(1, count // 2))
    assert dice(found & inside, inside) > 0.9 > 0.6 > dice(near & inside, inside)
    assert dice(found & near, mask & near) > 0.99, "what was drawn stays"


@pytest.mark.parametrize("shape", ["curved", "thick", "ring", "apart"])
def test_a_thin_or_flat_body_is_no_oblique_plane(shape):
    lean = np.radians(25)
    high = (GRID - MIDDLE) @ np.array([np.sin(lean), 0, np.cos(lean)])
    aside = np.linalg.norm(GRID - MIDDLE, axis=-1)
    flat = {
        "curved": (np.abs(high - (aside / 14) ** 2) < 0.8) & (aside < 24),
        "thick": (np.abs(high) < 2.5) & (aside < 22),
        "ring": (np.abs(high) < 0.7) & (aside < 22) & (aside > 18),
        "apart": (np.abs(high) < 0.7) & (np.linalg.norm((GRID - MIDDLE)[..., :2] % 12 - 6, axis=-1) < 4),
    }[shape]
    label = LabelVolume(flat.astype(np.uint8), np.eye(4))
    assert gap_lines(label, "x") == []


def test_a_label_of_many_classes_is_looked_through_class_by_class():
    _, label = solids()
    layers = (np.where(label.array == 1, 70_001, 0), np.where(label.array == 3, 2, 0))
    kept = slices_of((3, 4, 3, 6, 3, 5, 3, 4, 3), 36)
    sparse = LabelVolume(layers[0] * kept, label.affine, layers=(layers[0] * kept, layers[1]))
    (gaps,) = find_gaps(sparse)
    assert gaps.values == (70_001,)
