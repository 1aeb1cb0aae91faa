"""Brightness: the mean and texture of every label, and how they change between two images of a pair."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from iris_core.training.synthesis.anatomy import LABELS, Anatomy
from iris_core.training.synthesis.appearance.base_layer import FIRST_REGION, RIM
from iris_core.training.synthesis.draws import log_uniform

CT_RANGES = {  # Hounsfield units
    "lung": (-850.0, -600.0),
    "fat": (-110.0, -80.0),
    "soft": (20.0, 70.0),
    "blood": (40.0, 350.0),
    "bone": (150.0, 1500.0),
}
CT_SHARES = (0.1, 0.2, 0.4, 0.15, 0.15)
SHELL_LABELS = range(FIRST_REGION, FIRST_REGION + 8)  # of a base layer without a partition, at most
AIR_HU = -1000.0
CT_DETAIL = 250.0  # Hounsfield units that count as the whole range of soft tissue
FAINT_SHARE, FAINTEST = 0.35, 0.25  # pairs whose labels differ less, and the least that is left of it
UNRELATED, REMAPPED = 0.18, 0.24  # shares of MR pairs of two contrasts, at full difficulty
DETAIL_SHARE = 0.7  # pairs that show detail


@dataclass(frozen=True)
class Palette:
    """Brightness of every label."""

    mean: np.ndarray  # (LABELS,) mean, about 0 to 1, or Hounsfield units
    texture: np.ndarray  # (LABELS,) standard deviation of the coarse texture
    grain: np.ndarray  # (LABELS,) standard deviation of the fine texture
    ct: bool  # Hounsfield units
    detail: float = 0.0  # how strongly the anatomy's detail shows, signed, in units of the mean


def draw_palettes(rng: np.random.Generator, anatomy: Anatomy, progress: float) -> tuple[Palette, Palette]:
    """Two palettes: CT in 10 %; else the same contrast in 58 %, a monotone remap in 24, unrelated in 18.

    Changes of contrast begin at progress .3 and have their full share at .5. In a third of the pairs the
    labels differ less from each other, and most pairs show detail that no label names.
    """
    first, second = _draw_pair(rng, anatomy, progress)
    left = rng.uniform(FAINTEST, 0.8) if rng.random() < FAINT_SHARE else 1.0
    amount = log_uniform(rng, 0.03, 0.25) if rng.random() < DETAIL_SHARE else 0.0
    used = _used(anatomy)
    return _faint(first, left, amount, used), _faint(second, left, amount * rng.uniform(0.7, 1.4), used)


def _faint(palette: Palette, left: float, amount: float, used: list[int]) -> Palette:
    middle = np.median(palette.mean[used])
    mean = np.where(np.arange(LABELS) == 0, palette.mean, middle + left * (palette.mean - middle))
    return replace(palette, mean=mean, detail=palette.detail * amount)


def _draw_pair(rng: np.random.Generator, anatomy: Anatomy, progress: float) -> tuple[Palette, Palette]:
    if rng.random() < 0.1:
        first = _ct(rng, anatomy)
        jitter = _keep_shared(first.mean, rng.normal(0, 6, LABELS))
        return first, replace(first, mean=first.mean + jitter * (first.mean > AIR_HU))
    first = _mr(rng, anatomy)
    change = float(np.clip((progress - 0.3) / 0.2, 0, 1))
    draw = rng.random()
    if draw < UNRELATED * change:
        return first, replace(_mr(rng, anatomy), detail=float(rng.choice([-1.0, 1.0])))
    if draw < (UNRELATED + REMAPPED) * change:
        mean, rising = _remap(rng, first.mean)
        return first, replace(first, mean=mean, detail=1.0 if rising else -1.0)
    jitter = rng.uniform(-0.05, 0.05, LABELS) * rng.choice([0.2, 0.6, 1.0])
    mean = np.clip(first.mean, 0, 1) ** log_uniform(rng, 0.7, 1.5)
    return first, replace(first, mean=mean + _keep_shared(first.mean, jitter))


def _keep_shared(mean: np.ndarray, jitter: np.ndarray) -> np.ndarray:
    """Labels of one brightness stay of one brightness."""
    _, group = np.unique(np.round(mean, 6), return_inverse=True)
    return jitter[group.ravel()]


def _share(rng: np.random.Generator, mean: np.ndarray, anatomy: Anatomy, free: float) -> np.ndarray:
    """Makes 40 % of the labels as bright as another one, and kinds alike."""
    used = _used(anatomy)
    for label in used:
        if rng.random() < 0.4:
            mean[label] = mean[rng.choice(used)]
    for kind in anatomy.kinds:
        if rng.random() < 0.85:
            mean[kind] = mean[kind[0]]
    around = mean[[v for v in used if v not in anatomy.contrast]] if anatomy.contrast else mean
    for label in anatomy.contrast:  # of eight draws, the one furthest from its nearest half of the others
        tries = mean[label] + rng.uniform(-1, 1, 8) * free
        gaps = np.sort(np.abs(around - tries[:, None]), 1)[:, : max(1, around.size // 2)]
        mean[label] = tries[gaps.mean(1).argmax()]
    for group in anatomy.alike:
        mean[group] = mean[group[0]]
    return mean


def _used(anatomy: Anatomy) -> list[int]:
    """The labels that an anatomy may show, air aside."""
    objects = sorted({label for o in anatomy.objects for label in o.parts})
    return [RIM, *(anatomy.base.region_labels or SHELL_LABELS), *objects]


def _mr(rng: np.random.Generator, anatomy: Anatomy) -> Palette:
    mean = _share(rng, rng.uniform(0.05, 1, LABELS), anatomy, 0.5)
    mean[0] = rng.uniform(0, 0.08)
    rough = log_uniform(rng, 0.005, 0.1)
    texture = rough * rng.uniform(0.3, 1.2, LABELS)
    grain = rng.uniform(0.0, 0.06) * rng.uniform(0.3, 1.5, LABELS)
    _share_texture(anatomy, texture, grain)
    return Palette(mean, texture, grain, ct=False, detail=1.0)


def _ct(rng: np.random.Generator, anatomy: Anatomy) -> Palette:
    tissue = rng.choice(len(CT_RANGES), LABELS, p=CT_SHARES)
    low, high = np.array(list(CT_RANGES.values())).T
    mean = _share(rng, rng.uniform(low[tissue], high[tissue]), anatomy, 80.0)
    mean[0] = AIR_HU
    texture, grain = rng.uniform(2, 15, LABELS), rng.uniform(0, 10, LABELS)
    _share_texture(anatomy, texture, grain)
    return Palette(mean, texture, grain, ct=True, detail=CT_DETAIL)


def _share_texture(anatomy: Anatomy, *textures: np.ndarray) -> None:
    """Air has none, and labels that are alike have the same."""
    for texture in textures:
        texture[0] = 0.0
        for group in anatomy.alike:
            texture[group] = texture[group[0]]


def _remap(rng: np.random.Generator, mean: np.ndarray) -> tuple[np.ndarray, bool]:
    """A monotone map of brightness, rising or (one in three) falling, and whether it rises."""
    knots = np.cumsum(rng.gamma(0.8, size=6) + 0.05)
    knots = (knots - knots[0]) / (knots[-1] - knots[0])
    mapped = np.interp(mean, np.linspace(0, 1, 6), knots)
    if rng.random() >= 1 / 3:
        return mapped, True
    air = mapped[0]
    mapped = 1 - mapped
    mapped[0] = air
    return mapped, False
