"""One-shot inference: each class from the first reference that holds it. Paper: 3.3."""

from __future__ import annotations

from collections.abc import Sequence

from iris_core.strategies.pool import holders, mixture
from iris_core.task.embedding import TaskEmbedding


def one_shot(
    pool: Sequence[TaskEmbedding], names: Sequence[str]
) -> tuple[TaskEmbedding, dict[str, list[int]]]:
    """The embedding, and which references each class came from."""
    chosen = {name: holders(pool, name)[:1] for name in names}
    return mixture(pool, chosen), chosen
