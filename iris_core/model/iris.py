"""Iris: encode an image once, encode a task once, decode all classes of a query in one pass.

Paper: 3.2, Fig. 2. With every extension off this is the paper's network; the extensions add evidence maps
per class that join the decoder's logits (docs/decisions/0005-0007). What they need of a reference travels in
a ReferenceMemory beside the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import ModelConfig
from iris_core.model.carried import Carried, CarriedMean, fuse
from iris_core.model.correspondence import Correspondence
from iris_core.model.edge_fit import edges_of
from iris_core.model.encoder import Encoder
from iris_core.model.fusion import EvidenceHead, soft_logit
from iris_core.model.layers import box_mean, place_matrix, upsample_many
from iris_core.model.mask_decoder import MaskDecoder, class_logits
from iris_core.model.matching import STRIDES, MatchingPyramid
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE, ReferenceMemory
from iris_core.model.similarity import prototypes, similarity_maps
from iris_core.model.task_encoder import TaskEncoder

CORRESPONDENCE_HEADS = 2
LOCAL_SHARPNESS = 12.0  # of the choice between memories by local agreement (ours)
PLACE_BLUR = 3  # cells of 2 voxels, side of the box that blurs the reference mask twice


@dataclass(frozen=True)
class ImageFeatures:
    """What the encoder knows of one image.

    Args:
        maps: at strides 1 to 16.
        pyramid: matching features, or empty.
        image: (B, 1, D, H, W), what was encoded.
    """

    maps: tuple[Tensor, ...]
    pyramid: tuple[Tensor, ...] = ()
    image: Tensor | None = None


@dataclass(frozen=True)
class Evidence:
    """What references say of a query.

    Args:
        maps: by name, (B, K or 1, E, d, h, w) at half resolution.
        displacements: (B, 3, d, h, w) per memory, cells of 4 voxels.
        carried: masks voxel by voxel; None: edges were not compared.
    """

    maps: dict[str, Tensor]
    displacements: list[Tensor] = field(default_factory=list)
    carried: Carried | None = None


@dataclass(frozen=True)
class Decoded:
    """What a pass gives.

    Args:
        logits: (B, K, D, H, W).
        evidence: by name, maps (B, K, E, d, h, w) at half resolution, which training supervises.
        displacements: (B, 3, d, h, w) per memory, cells of 4 voxels.
        coarse: (B, K, d, h, w), what the tokens alone answer at strides 8, 4 and 2, or 2 alone; extensions
            have no part in it.
    """

    logits: Tensor
    evidence: dict[str, Tensor] = field(default_factory=dict)
    displacements: list[Tensor] = field(default_factory=list)
    coarse: tuple[Tensor, ...] = ()


class Iris(nn.Module):
    """The network.

    Args:
        config: sizes and switches.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.task_encoder = TaskEncoder(config)
        self.mask_decoder = MaskDecoder(config)
        if config.extended:
            self.matching = MatchingPyramid(config)
            shared, own = 1, 1  # whether a memory is there; the decoder's own coarse logit
            if config.similarity:
                own += len(STRIDES)
                self.similarity_scale = nn.Parameter(torch.full((len(STRIDES),), 3.0))
                self.similarity_bias = nn.Parameter(torch.full((len(STRIDES),), -1.0))
            if config.correspondence:
                self.correspondence = Correspondence(config.matching_channels, CORRESPONDENCE_HEADS)
                own += CORRESPONDENCE_HEADS + 1
                shared += 1
            if config.place:
                own += 1
            self.prior_gain = nn.Parameter(torch.tensor(0.5))
            if config.deep_vectors:
                self.token_gain = nn.Parameter(torch.tensor(0.0))  # of the tokens' answer beside the memory's
            self.evidence_head = EvidenceHead(config, shared, own)

    def encode_image(self, image: Tensor, *, compare: bool = True) -> ImageFeatures:
        """Features for any task.

        Args:
            image: (B, 1, D, H, W), z-scored, sides multiples of 16.
            compare: False leaves the extensions' matching features out; then no memory can be made of it.
        """
        maps = self.encoder(image)
        return ImageFeatures(maps, self.matching(maps) if compare and self.config.extended else (), image)

    def encode_tokens(self, features: ImageFeatures, masks: Tensor, unknown: Tensor | None = None) -> Tensor:
        """The paper's task embedding.

        Args:
            features: of the reference.
            masks: as in `encode_memory`.
            unknown: as in `encode_memory`.

        Returns:
            (B, K, m + 1, C).
        """
        return self.task_encoder(features.maps[-1], masks, unknown)

    def encode_memory(
        self,
        features: ImageFeatures,
        masks: Tensor,
        offset: Tensor,
        labelled: Tensor | None = None,
        unknown: Tensor | None = None,
    ) -> ReferenceMemory | None:
        """The extensions' part of the task embedding; None when all are off.

        Args:
            features: of the reference.
            masks: (B, K, D, H, W).
            offset: (B, 3), centre of the window minus centre of the field of view, voxels.
            labelled: (B, 1, D, H, W), all that the reference's label shows; None: these classes.
            unknown: (B, K, D, H, W), where masks are a guess; it is not learnt as background. None: nowhere.
        """
        if not self.config.extended:
            return None
        cells = F.avg_pool3d(masks, MASK_STRIDE)
        fine, coarse = features.pyramid[:2]
        labelled = masks.amax(1, keepdim=True) if labelled is None else labelled
        landmarks = F.avg_pool3d(labelled, FEATURE_STRIDE)
        hidden = None if unknown is None else F.avg_pool3d(unknown, MASK_STRIDE)
        vectors, bias = prototypes(features.pyramid, cells, hidden), cells.new_zeros(cells.shape[:2])
        return ReferenceMemory(coarse, fine, cells, vectors, landmarks, offset, bias)

    def decode(
        self,
        features: ImageFeatures,
        tokens: Tensor,
        memories: Sequence[ReferenceMemory] = (),
        weights: Tensor | None = None,
        offset: Tensor | None = None,
        fit_steps: int = 0,
        edge_steps: int = 0,
        class_bias: Tensor | None = None,
    ) -> Decoded:
        """All classes of a query in one pass. Paper: Eq. 5-6.

        Args:
            features: of the query.
            tokens: (B, K, m + 1, C).
            memories: one per reference; may be empty.
            weights: (B, K, N), how much each class listens to each memory; rows sum to 1. None: equally.
            offset: (B, 3), of the query window, voxels; None: zeros.
            fit_steps: steps by which each displacement is fitted to the pair's features; 0 in training.
            edge_steps: by which it is fitted to the pair's edges then; 0 in training.
            class_bias: (B, K), added to the logits before the masks that edges carry join them.
        """
        made = self.mask_decoder(features.maps, tokens)
        full, half = made.maps[-1], made.maps[-2]
        vector, bias = made.full_vector[..., :-1], made.full_vector[..., -1, None, None, None]
        own, deep = made.coarse_logits()
        if self.config.deep_vectors and not memories:
            logits = class_logits(full, vector, plus=upsample_many(deep[-1] + bias, full.shape[2:]))
            if class_bias is not None:
                logits = logits + class_bias[..., None, None, None]
            return Decoded(logits, {}, [], tuple(deep))
        if not self.config.extended:
            return Decoded(class_logits(full, vector) + bias)
        found = self._evidence(features, memories, weights, offset, fit_steps, edge_steps)
        maps = found.maps
        shared = [torch.full_like(half[:, :1], 1.0 if memories else 0.0)]
        if self.config.correspondence:
            shared.append(maps.pop("agreement")[:, 0] if memories else torch.zeros_like(half[:, :1]))
        evidence = [own[:, :, None], *maps.values()]
        coarse = self.evidence_head(torch.cat(shared, dim=1), evidence, half)
        guess = maps.get("warped", maps.get("place"))
        if guess is not None:
            coarse = coarse + self.prior_gain * soft_logit(box_mean(guess[:, :, 0], 3))
        if self.config.deep_vectors:
            coarse = coarse + self.token_gain * deep[-1]
        logits = class_logits(full, vector, plus=upsample_many(coarse + bias, full.shape[2:]))
        if class_bias is not None:
            logits = logits + class_bias[..., None, None, None]
        if found.carried is not None:
            logits = logits.float()
            fuse(logits, found.carried)
        return Decoded(logits, maps, found.displacements, tuple(deep))

    def _evidence(
        self,
        features: ImageFeatures,
        memories: Sequence[ReferenceMemory],
        weights: Tensor | None,
        offset: Tensor | None,
        fit_steps: int,
        edge_steps: int,
    ) -> Evidence:
        """What all memories say together.

        They are averaged by their weights; where several take part, those whose features agree with the
        query at a place count more there (docs/decisions/0017).
        """
        if offset is None:
            offset = features.pyramid[1].new_zeros(features.pyramid[1].shape[0], 3)
        wanted = edge_steps and any(memory.edges is not None for memory in memories)
        edges = edges_of(features.image) if wanted and features.image is not None else None
        if len(memories) == 1:
            return self._one_memory(features, memories[0], offset, fit_steps, edges, edge_steps)
        totals: dict[str, Tensor] = {}
        norms: dict[str, Tensor] = {}
        fields, carried = [], CarriedMean()
        for index, memory in enumerate(memories):
            found = self._one_memory(features, memory, offset, fit_steps, edges, edge_steps)
            own = memory.offset.new_ones(1, 1) if weights is None else weights[..., index]  # (B, K)
            share = own[..., None, None, None, None]
            if "agreement" in found.maps:
                near = (LOCAL_SHARPNESS * box_mean(found.maps["agreement"][:, 0], 5)).exp()
                share = share * near[:, None]
            for name, value in found.maps.items():
                part = share.mean(1, keepdim=True) if name == "agreement" else share
                totals[name] = totals.get(name, 0.0) + part * value
                norms[name] = norms.get(name, 0.0) + part
            fields += found.displacements
            if found.carried is not None:
                carried.add(found.carried, own)
        maps = {name: value / norms[name] for name, value in totals.items()}
        return Evidence(maps, fields, carried.result())

    def _one_memory(
        self,
        features: ImageFeatures,
        memory: ReferenceMemory,
        offset: Tensor,
        fit_steps: int,
        edges: Tensor | None,
        edge_steps: int,
    ) -> Evidence:
        pyramid = features.pyramid
        size = pyramid[0].shape[2:]
        maps: dict[str, Tensor] = {}
        fields, carried = [], None
        if self.config.similarity:
            maps["similarity"] = similarity_maps(
                pyramid, memory.prototypes, size, self.similarity_scale, self.similarity_bias
            )
        if self.config.correspondence:
            found = self.correspondence(pyramid[1], pyramid[0], offset, memory, fit_steps, edges, edge_steps)
            fine = upsample_many(found.propagated.flatten(1, 2), size)
            maps["propagated"] = fine.unflatten(1, found.propagated.shape[1:3])
            maps["warped"] = found.warped[:, :, None]
            maps["agreement"] = found.agreement[:, None]
            fields, carried = [found.displacement], found.carried
        if self.config.place:
            maps["place"] = self._place(pyramid[1], memory, offset)[:, :, None]
        return Evidence(maps, fields, carried)

    def _place(self, query: Tensor, memory: ReferenceMemory, offset: Tensor) -> Tensor:
        """The blurred reference masks at the same place of the field of view: (B, K, 2d, 2h, 2w)."""
        apart = (offset - memory.offset) / MASK_STRIDE  # (B, 3), cells of a mask
        maps = memory.masks
        for axis, cells in enumerate(query.shape[2:]):
            matrix = place_matrix(2 * cells, maps.shape[2 + axis], apart[:, axis], PLACE_BLUR)  # (B, out, in)
            maps = torch.einsum("bkx...,byx->bky...", maps.movedim(2 + axis, 2), matrix).movedim(2, 2 + axis)
        return maps
