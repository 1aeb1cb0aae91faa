"""Remembers what each reference says of a query, so that many mixtures of references cost little more.

The evidence of a reference does not depend on which others stand beside it (docs/decisions/0017), nor does
the encoding of an image depend on the task. Both are kept while the memo is in force. Results stay the same:
tests/benches/test_analyses.py compares them with the plain path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from iris_core.inference.evidence import Compared
from iris_core.model.iris import ImageFeatures
from iris_core.model.reference_memory import ReferenceMemory
from iris_core.segmenter import Segmenter
from iris_core.task.embedding import TaskEmbedding


class EvidenceMemo:
    """A context in which a network remembers; for inference only.

    Args:
        segmenter: of the network.
        pool: embeddings whose memories are remembered; all hold the same classes in the same order.
    """

    def __init__(self, segmenter: Segmenter, pool: Sequence[TaskEmbedding]) -> None:
        self.model, self.comparison = segmenter.model, segmenter.comparison
        both = [one for embedding in pool for one in (embedding, embedding.mirror) if one is not None]
        self.whole = {id(memory.features): memory for one in both for memory in one.memories}
        self.images: dict[bytes, ImageFeatures] = {}
        self.evidence: dict[tuple, Compared] = {}
        self.computed = 0  # pairs of a query window and a reference
        self._encode, self._compare = self.model.encode_image, self.comparison.with_one

    def __enter__(self) -> EvidenceMemo:
        self.model.encode_image = self._encode_image
        self.comparison.with_one = self._with_one
        return self

    def __exit__(self, *_: object) -> None:
        del self.model.encode_image, self.comparison.with_one
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

    def _with_one(
        self, features: ImageFeatures, memory: ReferenceMemory, offset: Tensor, edges: Tensor | None
    ) -> Compared:
        whole = self.whole.get(id(memory.features))
        if whole is None:
            return self._compare(features, memory, offset, edges)
        places = tuple(offset.flatten().tolist()), tuple(memory.offset.flatten().tolist())
        key = (id(features.pyramid[1]), id(memory.features), *places)
        if key not in self.evidence:
            whole = replace(whole, offset=memory.offset)  # all its classes, at the place it was moved to
            self.evidence[key] = self._compare(features, whole, offset, edges)
            self.computed += 1
        return self.evidence[key]
