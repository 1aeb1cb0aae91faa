"""An anatomy: one synthetic person before pose and picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from iris_core.training.synthesis.appearance.base_layer import BaseLayer
from iris_core.training.synthesis.primitive import Primitive

LABELS = 128  # label values are below this
FIRST_OBJECT = 64  # labels of objects start here, labels of the base layer lie below


@dataclass
class Anatomy:
    """A base layer, the objects painted over it in order, and facts of the labels."""

    family: str  # name of the family that drew it
    base: BaseLayer  # labels of all space
    # painted first to last, a later one covers an earlier one
    objects: list[Primitive] = field(default_factory=list)
    # groups of labels that look alike (both kidneys, all vertebrae)
    kinds: list[list[int]] = field(default_factory=list)
    droppable: list[int] = field(default_factory=list)  # labels that another person may lack
    # labels that must differ in brightness from what surrounds them (lesions)
    contrast: list[int] = field(default_factory=list)
    favoured: list[int] = field(default_factory=list)  # labels that become tasks more often
    # how far windows may wander, 0 to 1 (0 for a structure the window was cropped around)
    window_shift: float = 1.0
    # groups of labels that look the same in every image; unlike a kind, no task is their union
    alike: list[list[int]] = field(default_factory=list)
    # (3,) step from one member of a row of look-alikes to the next, voxels; None: no row
    link: np.ndarray | None = None
