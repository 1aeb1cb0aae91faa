"""MemoryBank: one task embedding per class seen in training, so that such a class needs no reference.

Paper: 3.3 (context ensemble) and supplement 7, Eq. 7. The paper leaves the start open: here the first
embedding of a class fills its entry, and the embeddings of a batch count one after another, in batch
order (docs/decisions/0019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from iris_core.config import MEMORY_MOMENTUM
from iris_core.errors import CheckpointError, InputError
from iris_core.task.embedding import TaskEmbedding

META_KEY = "memory_bank"  # of the class names in a checkpoint's facts
STATE_PREFIX = "memory_bank."  # of the tensors in a checkpoint


class MemoryBank(nn.Module):
    """A moving average of the task embedding of every class.

    Args:
        names: K class names, each once.
        context_tokens: m of the network.
        channels: C of the network, at its deepest stage.
        momentum: alpha of Eq. 7, from 0 up to but not 1.

    Attributes:
        tokens: (K, m + 1, C) float32.
        seen: (K,) bool, False until a class has an embedding.

    Raises:
        InputError: a name stands twice, or the momentum is out of range.
    """

    tokens: Tensor
    seen: Tensor

    def __init__(
        self, names: Sequence[str], context_tokens: int, channels: int, momentum: float = MEMORY_MOMENTUM
    ) -> None:
        super().__init__()
        if len(set(names)) != len(names):
            raise InputError("a class stands twice in the memory bank", found=", ".join(names))
        if not 0 <= momentum < 1:
            raise InputError("unusable momentum", where="momentum", expected="0 <= alpha < 1", found=momentum)
        self.names, self.momentum = tuple(names), momentum
        self.register_buffer("tokens", torch.zeros(len(names), context_tokens + 1, channels))
        self.register_buffer("seen", torch.zeros(len(names), dtype=torch.bool))

    @torch.no_grad()
    def update(self, classes: Sequence[str | int], tokens: Tensor) -> None:
        """T_k <- alpha T_k + (1 - alpha) T_k^new for each embedding, first to last. Paper: Eq. 7.

        Args:
            classes: N names or positions.
            tokens: (N, m + 1, C), their new embeddings; the first one of a class fills its entry.

        Raises:
            InputError: a class is not in the bank, or the shape is wrong.
        """
        if tokens.shape[1:] != self.tokens.shape[1:]:
            raise InputError(
                "embeddings of another network", where="tokens",
                expected=f"shape {tuple(self.tokens.shape[1:])}", found=f"shape {tuple(tokens.shape[1:])}",
            )  # fmt: skip
        for which, new in zip(classes, tokens.to(self.tokens), strict=True):
            k = self._position(which)
            moved = self.momentum * self.tokens[k] + (1 - self.momentum) * new
            self.tokens[k] = torch.where(self.seen[k], moved, new)
            self.seen[k] = True

    def embedding(self, names: Sequence[str]) -> TaskEmbedding:
        """The task embedding of seen classes, of tokens alone: the extensions have no memory to compare with.

        Raises:
            InputError: a class is not in the bank, or no training step has held it.
        """
        where = [self._position(name) for name in names]
        unseen = [name for name, k in zip(names, where, strict=True) if not self.seen[k]]
        if unseen:
            raise InputError(
                "training never saw the class", where=", ".join(unseen), remedy="give a labelled reference"
            )
        return TaskEmbedding(tuple(names), self.tokens[where].clone())

    def state(self) -> dict[str, Tensor]:
        """The bank's tensors, for `save_model(extra=...)`."""
        return {STATE_PREFIX + key: value for key, value in self.state_dict().items()}

    def meta(self) -> dict[str, object]:
        """What a checkpoint's facts must hold to restore the bank."""
        return {META_KEY: {"names": list(self.names), "momentum": self.momentum}}

    @classmethod
    def restored(cls, state: Mapping[str, Tensor], meta: Mapping[str, object]) -> MemoryBank:
        """The bank in the tensors and facts of a checkpoint.

        Raises:
            CheckpointError: the checkpoint holds no bank.
        """
        facts = meta.get(META_KEY)
        tokens, seen = (state.get(STATE_PREFIX + key) for key in ("tokens", "seen"))
        if not isinstance(facts, Mapping) or tokens is None or seen is None:
            raise CheckpointError("holds no memory bank", remedy="give labelled references")
        bank = cls(facts["names"], tokens.shape[1] - 1, tokens.shape[2], facts["momentum"])
        bank.load_state_dict({"tokens": tokens, "seen": seen})
        return bank

    def _position(self, which: str | int) -> int:
        if isinstance(which, str) and which in self.names:
            return self.names.index(which)
        if isinstance(which, int) and 0 <= which < len(self.names):
            return which
        raise InputError("no such class in the memory bank", where=str(which), expected=", ".join(self.names))
