"""PassResult: what the network finds of the classes asked for, on the working grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from iris_core.quality import dice_from_overlap, soft_overlap


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
