"""A pool of references' embeddings: who holds which class, and mixtures of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iris_core.errors import InputError
from iris_core.task.embedding import TaskEmbedding, combine


def holders(pool: Sequence[TaskEmbedding], name: str) -> list[int]:
    """Positions of the references that hold a class.

    Raises:
        InputError: none does.
    """
    found = [n for n, embedding in enumerate(pool) if name in embedding.names]
    if not found:
        raise InputError("no reference holds the class", where=name)
    return found


def mixture(pool: Sequence[TaskEmbedding], chosen: Mapping[str, Sequence[int]]) -> TaskEmbedding:
    """The mean over the chosen references, class by class.

    Args:
        pool: N embeddings, one per reference.
        chosen: per class the positions of its references.
    """
    shares = {
        name: [1.0 if n in positions else 0.0 for n in range(len(pool))] for name, positions in chosen.items()
    }
    return combine(pool, shares)
