"""What a pass finds; and a second pass in the mirror, along all three axes, the result turned back.

Stage 7, docs/decisions/0035. Input: a query and a task with its mirrored references; then the results of both
passes. Output: the mean of both. Cost: doubles everything before it.

Both sides are mirrored alike, so left stays left of the same anatomy; only the network, which was not made
symmetric, sees something new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from iris_core.inference.fusion import share_of
from iris_core.inference.settings import InferenceSettings
from iris_core.inference.stages import FusionSettings
from iris_core.metrics import dice
from iris_core.model.layers import bounded_logit
from iris_core.progress import Progress, halves
from iris_core.quality import dice_from_overlap, expected_dice, soft_overlap
from iris_core.task.embedding import TaskEmbedding


@dataclass(frozen=True)
class PassResult:
    """What one pass finds of K classes, or the mean of two passes.

    Args:
        logits: (K, D, H, W) on the CPU; above 0 means foreground. A class may be emptied afterwards.
        visible: (K,), share of each class that the field of view shows, as its references lie there.
        pass_dice: Dice between two passes for each class, nan where neither finds any of it; None: there was
            one pass.
    """

    logits: Tensor
    visible: Tensor
    pass_dice: tuple[float, ...] | None = None

    @cached_property
    def overlaps(self) -> tuple[float, ...]:
        """Soft overlap of each class, measured once."""
        return tuple(soft_overlap(one) for one in self.logits)

    def expected(self, references: Sequence[int]) -> list[float]:
        """The Dice to expect of each class, 0 where it is empty.

        Args:
            references: of each class, how many took part.
        """
        pairs = zip(self.logits, self.overlaps, strict=True)
        left = [overlap if bool((one > 0).any()) else 0.0 for one, overlap in pairs]
        told = self.pass_dice or [None] * len(left)
        return [dice_from_overlap(*one) for one in zip(left, told, references, strict=True)]


def mirrored(volume: Tensor) -> Tensor:
    """A volume (..., D, H, W) mirrored along its three axes."""
    return volume.flip(-3, -2, -1)


class View(NamedTuple):
    """What one pass sees: an image (1, D, H, W), a task seen alike, and the progress of this pass."""

    image: Tensor
    embedding: TaskEmbedding
    progress: Progress | None


def both_views(
    image: Tensor, embedding: TaskEmbedding, settings: InferenceSettings, progress: Progress | None
) -> list[View]:
    """The query as it is and, where the task has mirrored references, in the mirror."""
    alone = replace(embedding, mirror=None)  # each goes to the device by itself
    if embedding.mirror is None or not settings.mirroring.enabled:
        return [View(image, alone, progress)]
    first, second = halves(progress)
    return [View(image, alone, first), View(mirrored(image), embedding.mirror, second)]


def averaged(passes: Sequence[PassResult], settings: FusionSettings) -> PassResult:
    """The mean of both passes' probabilities, and how alike the passes are; of one pass itself.

    Each class is weighted by the Dice to expect of either pass (iris_core.inference.fusion). One class at a
    time, so that many classes of a large volume fit into memory.

    Args:
        passes: the first, used up, and the second, still mirrored.
        settings: of the weights.
    """
    if len(passes) == 1:
        return passes[0]
    one, other = passes
    alike = []
    for mine, there in zip(one.logits, other.logits, strict=True):
        its = mirrored(there)
        alike.append(dice((mine > 0).numpy(), (its > 0).numpy()))
        near, far = (expected_dice(found) for found in (its, mine))
        share = share_of(near, far, settings=settings)
        mine.copy_(bounded_logit(torch.lerp(mine.sigmoid(), its.sigmoid(), share)))
    # either may be aligned wrongly
    return PassResult(one.logits, torch.minimum(one.visible, other.visible), tuple(alike))
