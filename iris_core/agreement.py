"""How well a reference agrees with a query once its displacement is fitted; it tells rival places apart.

docs/decisions/0028. Before the fit one stretch of a spine looks like the next; after it the right one agrees
better, on the labelled structures and around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from torch import Tensor
from torch.nn import functional as F

from iris_core.alignment import Agreement
from iris_core.model.correspondence import Correspondence
from iris_core.model.layers import box_mean
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE, ReferenceMemory

AROUND = 5  # cells of 2 voxels, side of the box by which the structures are blurred (ours)
MOST_CELLS = 48**3  # of 4 voxels, of a query in which rivals are tried (ours)


def judged(shape: Sequence[int]) -> bool:
    """Whether rivals are tried in a query of that shape, voxels; in a larger one it would take too long."""
    return prod(shape) <= MOST_CELLS * FEATURE_STRIDE**3


def agreement_with(
    correspondence: Correspondence, coarse: Tensor, fine: Tensor, offset: Tensor, steps: int
) -> Agreement:
    """Gives what judges a memory at the place where it lies.

    Args:
        correspondence: of the network.
        coarse: (1, F, d, h, w), matching features of the query at stride 4.
        fine: (1, F/2, 2d, 2h, 2w), at stride 2.
        offset: (3,) voxels, centre of those grids minus the centre of the query's field of view.
        steps: of the fit.

    Returns:
        A function of a memory: the mean cosine on all that its label shows and around it.
    """

    def found(memory: ReferenceMemory) -> float:
        shown = F.interpolate(memory.landmarks, scale_factor=FEATURE_STRIDE // MASK_STRIDE)
        told = replace(memory, masks=shown)
        match = correspondence(coarse, fine, offset[None], told, steps)
        near = box_mean(match.warped[:, :1], AROUND)
        return float((near * match.agreement).sum() / near.sum().clamp_min(1))

    return found
