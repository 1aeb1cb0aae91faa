"""Found: what a network found of the classes asked for, on the working grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from iris_core.quality import expected_dice


@dataclass(frozen=True)
class Found:
    """What was found of K classes.

    Args:
        logits: (K, D, H, W) on the CPU; above 0 means foreground.
        agreement: Dice of what two passes found of each class, nan where neither found any of it; None: there
            was one pass.
    """

    logits: Tensor
    agreement: tuple[float, ...] | None = None

    def expected(self, references: Sequence[int]) -> list[float]:
        """The Dice to expect of each class.

        Args:
            references: of each class, how many took part.
        """
        told = self.agreement or [None] * len(self.logits)
        return [expected_dice(*one) for one in zip(self.logits, told, references, strict=True)]
