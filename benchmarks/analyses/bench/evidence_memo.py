"""Remembers what each reference says of a query, so that many mixtures of references cost little more.

The evidence of a reference does not depend on which others stand beside it (docs/decisions/0017), nor does
the encoding of an image depend on the task. Both are kept while the memo is in force. Results stay the same:
tests/test_analyses.py compares them with the plain path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from iris_core.embedding import TaskEmbedding
from iris_core.model.iris import Evidence, ImageFeatures, Iris
from iris_core.model.reference_memory import ReferenceMemory


class EvidenceMemo:
    """A context in which a network remembers; for inference only.

    Args:
        model: the network.
        pool: embeddings whose memories are remembered; all hold the same classes in the same order.
    """

    def __init__(self, model: Iris, pool: Sequence[TaskEmbedding]) -> None:
        self.model = model
        both = [one for embedding in pool for one in (embedding, embedding.mirror) if one is not None]
        self.whole = {id(memory.features): memory for one in both for memory in one.memories}
        self.images: dict[bytes, ImageFeatures] = {}
        self.evidence: dict[tuple, Evidence] = {}
        self.computed = 0  # pairs of a query window and a reference
        self._encode, self._compare = model.encode_image, model._one_memory

    def __enter__(self) -> EvidenceMemo:
        self.model.encode_image = self._encode_image
        self.model._one_memory = self._one_memory
        return self

    def __exit__(self, *_: object) -> None:
        del self.model.encode_image, self.model._one_memory
        self.forget()

    def forget(self) -> None:
        """Drops what is known of the queries so far."""
        self.images.clear()
        self.evidence.clear()

    def _encode_image(self, image: Tensor) -> ImageFeatures:
        key = hashlib.sha256(image.contiguous().numpy(force=True).tobytes()).digest()
        if key not in self.images:
            self.images[key] = self._encode(image)
        return self.images[key]

    def _one_memory(
        self,
        features: ImageFeatures,
        memory: ReferenceMemory,
        offset: Tensor,
        fit_steps: int,
        edges: Tensor | None,
        edge_steps: int,
    ) -> Evidence:
        whole = self.whole.get(id(memory.features))
        if whole is None:
            return self._compare(features, memory, offset, fit_steps, edges, edge_steps)
        places = tuple(offset.flatten().tolist()), tuple(memory.offset.flatten().tolist())
        key = (id(features.pyramid[1]), id(memory.features), *places, fit_steps, edge_steps)
        if key not in self.evidence:
            whole = replace(whole, offset=memory.offset)  # all its classes, at the place it was moved to
            self.evidence[key] = self._compare(features, whole, offset, fit_steps, edges, edge_steps)
            self.computed += 1
        found = self.evidence[key]
        return replace(found, maps=dict(found.maps))
