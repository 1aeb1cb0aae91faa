"""Evidence: what the references of a task say of one window of a query, fitted to each pair.

Stages 4 and 5. Input: features of the window, the references' memories, the window's place. Output: the
evidence that the decoder takes, and masks that join its logits voxel by voxel. Cost: by far most of a
query's time, once for each reference and window. Where several references take part, those whose features
agree with the query at a place count more there (docs/decisions/0017, 0022, 0034).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iris_core.inference.pair_fit.edge_fit import edges_of, fitted_to_edges
from iris_core.inference.pair_fit.feature_fit import fitted_to_features
from iris_core.inference.pair_fit.transfer import TransferredMasks, TransferredMean
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.model.iris import Evidence, ImageFeatures, Iris
from iris_core.model.layers import box_mean
from iris_core.model.reference_memory import ReferenceMemory


@dataclass(frozen=True)
class Compared:
    """What references say of a window.

    Args:
        evidence: for the decoder.
        transferred: masks voxel by voxel; None where no edges were compared.
    """

    evidence: Evidence
    transferred: TransferredMasks | None = None


class Comparison:
    """Compares windows of queries with references.

    Args:
        model: the network.
        settings: of all stages.
    """

    def __init__(self, model: Iris, settings: InferenceSettings = DEFAULTS) -> None:
        self.model, self.settings = model, settings

    def with_all(
        self,
        features: ImageFeatures,
        memories: Sequence[ReferenceMemory],
        weights: Tensor | None = None,
        offset: Tensor | None = None,
    ) -> Compared | None:
        """What all references say together; None where there are none, or the stage is off.

        Where gradients are wanted nothing is fitted.

        Args:
            features: of the query's window.
            memories: one per reference.
            weights: (B, K, N), how much each class listens to each; rows sum to 1. None: equally.
            offset: (B, 3), of the window, voxels; None: zeros.
        """
        if not memories or not self.settings.evidence.enabled:
            return None
        if offset is None:
            offset = features.pyramid[1].new_zeros(features.pyramid[1].shape[0], 3)
        edges = self._edges(features, memories)
        if len(memories) == 1:
            return self.with_one(features, memories[0], offset, edges)
        totals: dict[str, Tensor] = {}
        norms: dict[str, Tensor] = {}
        fields, transferred = [], TransferredMean(self.settings.edge_fit)
        for index, memory in enumerate(memories):
            found = self.with_one(features, memory, offset, edges)
            maps = found.evidence.maps
            own = memory.offset.new_ones(1, 1) if weights is None else weights[..., index]  # (B, K)
            share = own[..., None, None, None, None]
            if "agreement" in maps:
                sharpness = self.settings.evidence.local_sharpness
                share = share * (sharpness * box_mean(maps["agreement"][:, 0], 5)).exp()[:, None]
            for name, value in maps.items():
                part = share.mean(1, keepdim=True) if name == "agreement" else share
                totals[name] = totals.get(name, 0.0) + part * value
                norms[name] = norms.get(name, 0.0) + part
            fields += found.evidence.displacements
            if found.transferred is not None:
                transferred.add(found.transferred, own)
        maps = {name: value / norms[name] for name, value in totals.items()}
        return Compared(Evidence(maps, fields), transferred.result())

    def with_one(
        self, features: ImageFeatures, memory: ReferenceMemory, offset: Tensor, edges: Tensor | None
    ) -> Compared:
        """What one reference says.

        Args:
            features: of the query's window.
            memory: of the reference.
            offset: (B, 3), of the window, voxels.
            edges: (B, 3, D, H, W) of the window; None: they are not compared.
        """
        places, transferred = self.model.places(features, memory, offset), None
        if places is not None and not torch.is_grad_enabled():
            fine, coarse = features.pyramid[:2]
            places = fitted_to_features((coarse, fine), memory, places, self.settings.feature_fit)
            places, transferred = fitted_to_edges(edges, offset, memory, places, self.settings.edge_fit)
        return Compared(self.model.compare(features, memory, offset, places), transferred)

    def _edges(self, features: ImageFeatures, memories: Sequence[ReferenceMemory]) -> Tensor | None:
        stage = self.settings.edge_fit
        wanted = stage.enabled and stage.edge_steps and not torch.is_grad_enabled()
        if not wanted or features.image is None or all(memory.edges is None for memory in memories):
            return None
        return edges_of(features.image)
