"""Brain: nested shells, a folded ribbon in two halves, deep paired nuclei and ventricles."""

from __future__ import annotations

import numpy as np

from iris_core.training.synthesis.anatomy import FIRST_OBJECT, Anatomy
from iris_core.training.synthesis.appearance.base_layer import BaseLayer, Ripple
from iris_core.training.synthesis.draws import log_uniform, small_rotation, some_of
from iris_core.training.synthesis.primitive import FAR, Primitive

# base labels: 2 skin, 3 skull, 4 fluid, 5 ribbon and 6 white matter (left or both), 7 and 8 the same (right)
FIRST_SIDED = 3


def draw(rng: np.random.Generator, shape: tuple[int, int, int]) -> Anatomy:
    """A head or a stripped brain; sometimes a window deep inside it."""
    side = np.asarray(shape, float)
    zoom = rng.uniform(0.42, 0.62) if rng.random() < 0.65 else rng.uniform(0.7, 1.1)
    body = side * zoom * rng.uniform(0.85, 1.0, 3)
    length = float(np.prod(body * 2)) ** (1 / 3)
    stripped = rng.random() < 0.4
    scalp = rng.uniform(0.9, 0.95)
    outer = (2.0, 2.0) if stripped else (scalp, scalp - rng.uniform(0.04, 0.08))  # 2.0: no such shell
    cortex = min(outer[1], 1.0) - rng.uniform(0.05, 0.1)
    ribbon = cortex - max(4.5 / length, rng.uniform(0.1, 0.22))
    fold = rng.uniform(0.03, 0.2)
    base = BaseLayer(
        body=body,
        surface=Ripple.draw(rng, length * 0.6),
        rough=rng.uniform(0.0, 0.04),
        shells=(*outer, cortex, ribbon),
        folds=Ripple.draw(rng, length * rng.uniform(0.14, 0.32), terms=8),
        fold_depth=(0.0, 0.0, fold * rng.uniform(0.3, 1.0), fold),
        sided=FIRST_SIDED if rng.random() < 0.7 else None,
    )
    objects, kinds = _deep(rng, body)
    kinds += [[5, 7], [6, 8]] if base.sided is not None else []
    labels = sorted({o.label for o in objects})
    drop = some_of(rng, labels, 4)
    return Anatomy("brain", base, objects, kinds, drop, favoured=[*labels, 4, 5, 6, 7, 8])


def _deep(rng: np.random.Generator, body: np.ndarray) -> tuple[list[Primitive], list[list[int]]]:
    """Ventricles and 3 to 8 paired nuclei, some of them bent and split into a front and a back part."""
    objects, kinds = [], []
    scale = float(np.prod(body)) ** (1 / 3)
    label = FIRST_OBJECT
    for index in range(int(rng.integers(4, 9))):
        place = body * np.array([rng.uniform(0.14, 0.42), *rng.uniform(-0.4, 0.4, 2)])
        size = scale * log_uniform(rng, 0.09, 0.22)
        radii = np.maximum(size * np.array([rng.uniform(1.1, 2.4), *rng.uniform(0.6, 1.1, 2)]), 1.5)
        axis_y_first = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])  # long axis from back to front
        rotation = small_rotation(rng, 25, 60) @ axis_y_first
        if index == 0:  # ventricles: dark horns near the middle
            place[0] = max(radii[1] * 1.05, body[0] * 0.1)
        bend = (*tuple(rng.normal(0, 0.35, 2) * radii[0]), 0.0)
        parts = 2 if rng.random() < 0.3 else 1
        cuts = (rng.uniform(-0.3, 0.3) if parts == 2 else FAR, FAR)
        boxy, taper = rng.uniform(0, 0.5), rng.uniform(-0.5, 0.5)
        for which in (1, -1):
            objects.append(
                Primitive(label, place + rng.normal(0, 0.4, 3), radii, rotation, boxy, bend,
                          taper=taper, cuts=cuts, side=which, jitter=0.5)
            )  # fmt: skip
            label += parts
        kinds.append(list(range(label - 2 * parts, label)))
    return objects, kinds
