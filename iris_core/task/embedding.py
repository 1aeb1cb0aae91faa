"""TaskEmbedding: what a network needs to know of a task; made once from references, used on any query.

Paper: T in R^{(m+1) x C} per class (3.2.1). Every inference strategy (3.3) is a way to obtain one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.errors import InputError
from iris_core.model.reference_memory import MASK_STRIDE, ReferenceMemory


@dataclass(frozen=True, eq=False)
class TaskEmbedding:
    """The task embedding of K classes.

    Args:
        names: K class names.
        tokens: (K, m + 1, C), the foreground embedding first, then the m contextual ones.
        memories: extras of N references, each tensor with a batch axis of 1; empty for the paper's network.
        weights: (K, N), how much a class listens to each memory; rows sum to 1, or to 0 without memories.
        image: (C,), mean feature of the reference image, for image-level retrieval.
        mirror: of the same references, mirrored (iris_core.inference.passes); None: queries are seen once.
    """

    names: tuple[str, ...]
    tokens: Tensor
    memories: tuple[ReferenceMemory, ...] = ()
    weights: Tensor | None = None
    image: Tensor | None = None
    mirror: TaskEmbedding | None = None

    def positions(self, names: Sequence[str]) -> list[int]:
        """Where these classes stand.

        Raises:
            InputError: a class is not in the embedding.
        """
        missing = [name for name in names if name not in self.names]
        if missing:
            raise InputError(
                "no such class in the task", where=", ".join(missing), expected=", ".join(self.names)
            )
        return [self.names.index(name) for name in names]

    def select(self, names: Sequence[str]) -> TaskEmbedding:
        """The embedding of some of the classes, in the order given."""
        where = self.positions(names)
        return replace(
            self,
            names=tuple(names),
            tokens=self.tokens[where],
            memories=tuple(memory.select(where) for memory in self.memories),
            weights=None if self.weights is None else self.weights[where],
            mirror=None if self.mirror is None else self.mirror.select(names),
        )

    def tokens_alone(self) -> TaskEmbedding:
        """The paper's task embedding and nothing else: no memory, no image vector, no mirror image."""
        return TaskEmbedding(self.names, self.tokens)

    @property
    def volumes(self) -> Tensor:
        """(K,) voxels: the least that a memory shows of each class; zeros where none shows any."""
        if not self.memories:
            return torch.zeros(len(self.names))
        shown = torch.stack([memory.masks[0].flatten(1).sum(1) for memory in self.memories], dim=1)
        return shown.where(shown > 0, torch.inf).amin(1).nan_to_num(posinf=0.0) * MASK_STRIDE**3

    @property
    def bias(self) -> Tensor:
        """(K,): what is added to the logits of each class, the mean of the references that tell one."""
        if not self.memories:
            return torch.zeros(len(self.names))
        biases = torch.stack([memory.bias[0] for memory in self.memories], dim=1)  # (K, N)
        weights = torch.ones_like(biases) if self.weights is None else self.weights.to(biases)
        told = biases.isfinite()
        biases, weights = biases.where(told, 0.0), weights.where(told, 0.0)
        return (biases * weights).sum(1) / weights.sum(1).clamp_min(1e-6)

    def to(self, device: torch.device | str) -> TaskEmbedding:
        """The same embedding on a device."""
        return TaskEmbedding(
            self.names,
            self.tokens.to(device),
            tuple(memory.map(lambda t: t.to(device)) for memory in self.memories),
            None if self.weights is None else self.weights.to(device),
            None if self.image is None else self.image.to(device),
            None if self.mirror is None else self.mirror.to(device),
        )

    def cosine(self, other: TaskEmbedding) -> dict[str, float]:
        """Cosine of the mean-pooled tokens, per class that both hold; extras take no part."""
        shared = [name for name in self.names if name in other.names]
        a = F.normalize(self.tokens[self.positions(shared)].mean(1), dim=-1)
        b = F.normalize(other.tokens[other.positions(shared)].mean(1), dim=-1)
        return dict(zip(shared, (a * b).sum(-1).tolist(), strict=True))


def combine(embeddings: Sequence[TaskEmbedding], shares: Mapping[str, Sequence[float]]) -> TaskEmbedding:
    """A weighted mean of task embeddings, each class with weights of its own.

    Args:
        embeddings: of N references; they need not hold the same classes.
        shares: per class N weights of 0 or more; a reference without the class has 0. They are scaled to sum
            to 1. The classes of the result are the keys.

    Raises:
        InputError: a class has no weight above 0, or one where the reference lacks it.
    """
    names = tuple(shares)
    rows = torch.tensor([list(shares[name]) for name in names], dtype=torch.float32)  # (K, N)
    for k, name in enumerate(names):
        holders = torch.tensor([name in e.names for e in embeddings])
        if rows[k].sum() <= 0 or bool((rows[k][~holders] > 0).any()):
            raise InputError("no reference holds the class", where=name, found=f"weights {rows[k].tolist()}")
    rows = rows / rows.sum(1, keepdim=True)
    tokens = torch.zeros(len(names), *embeddings[0].tokens.shape[1:])
    memories, columns = [], []
    for n, embedding in enumerate(embeddings):
        if not bool((rows[:, n] > 0).any()):
            continue
        held = [k for k, name in enumerate(names) if name in embedding.names]
        source = embedding.positions([names[k] for k in held])
        tokens[held] += rows[held, n, None, None] * embedding.tokens[source].float()
        for index, memory in enumerate(embedding.memories):
            memories.append(memory.select(source).spread(held, len(names)))
            own = torch.ones(len(source)) if embedding.weights is None else embedding.weights[source, index]
            column = torch.zeros(len(names))
            column[held] = rows[held, n] * own.float()
            columns.append(column)
    weights = torch.stack(columns, dim=1) if columns else None
    taking_part = [n for n in range(len(embeddings)) if bool((rows[:, n] > 0).any())]
    mirrors = [mirrored for n in taking_part if (mirrored := embeddings[n].mirror) is not None]
    mirror = None
    if len(mirrors) == len(taking_part):
        mirror = combine(mirrors, {name: [share[n] for n in taking_part] for name, share in shares.items()})
    return TaskEmbedding(names, tokens, tuple(memories), weights, mirror=mirror)


def stored_precision(embedding: TaskEmbedding) -> TaskEmbedding:
    """Rounds to what a task card keeps, so that a card and its references give the same mask, bit for bit.

    Tokens, features, prototypes, offsets and biases are rounded to float16, masks, landmarks and fields to
    1/255, edges to 1/127.
    """

    def half(tensor: Tensor) -> Tensor:
        return tensor.half().float()

    def byte(tensor: Tensor) -> Tensor:
        return (tensor * 255).round() / 255

    def rounded(memory: ReferenceMemory) -> ReferenceMemory:
        edges = None if memory.edges is None else (memory.edges * 127).round() / 127
        masks, landmarks = byte(memory.masks), byte(memory.landmarks)
        field = None if memory.field is None else byte(memory.field)
        kept: dict[str, Any] = {"masks": masks, "landmarks": landmarks, "edges": edges, "field": field}
        return replace(memory.map(lambda t: t if t.dtype == torch.bool else half(t)), **kept)

    memories = tuple(rounded(memory) for memory in embedding.memories)
    image = None if embedding.image is None else half(embedding.image)
    return replace(embedding, tokens=half(embedding.tokens), memories=memories, image=image)
