"""Context ensemble: the mean of all references' embeddings. Paper: 3.3."""

from __future__ import annotations

from collections.abc import Sequence

from iris_core.strategies.pool import holders, mixture
from iris_core.task.embedding import TaskEmbedding


def ensemble(
    pool: Sequence[TaskEmbedding], names: Sequence[str]
) -> tuple[TaskEmbedding, dict[str, list[int]]]:
    """The embedding, and which references each class came from."""
    chosen = {name: holders(pool, name) for name in names}
    return mixture(pool, chosen), chosen
