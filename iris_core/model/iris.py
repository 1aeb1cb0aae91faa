"""Iris: encode an image once, encode a task once, decode all classes of a query in one pass.

Paper: 3.2, Fig. 2. With every extension off this is the paper's network; the extensions add evidence maps
per class that join the decoder's logits (docs/decisions/0005-0007). What they need of a reference travels in
a ReferenceMemory beside the tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from iris_core.config import ModelConfig
from iris_core.model.correspondence import HEADS, Correspondence, Places
from iris_core.model.encoder import Encoder
from iris_core.model.fusion import EvidenceHead
from iris_core.model.layers import box_mean, place_matrix, upsample_many
from iris_core.model.mask_decoder import MaskDecoder, class_logits
from iris_core.model.matching import STRIDES, MatchingPyramid
from iris_core.model.reference_memory import FEATURE_STRIDE, MASK_STRIDE, ReferenceMemory
from iris_core.model.similarity import prototypes, similarity_maps
from iris_core.model.task_encoder import TaskEncoder

PROBABILITY_FLOOR = 0.02  # and 1 less it as the ceiling; keeps the logit of a mask finite
PLACE_BLUR = 3  # cells of 2 voxels, side of the box that blurs the reference mask twice


@dataclass(frozen=True)
class ImageFeatures:
    """The features of B images.

    Args:
        maps: at strides 1 to 16.
        pyramid: matching features at strides 2 to 16; empty without extensions.
        image: (B, 1, D, H, W), that were encoded.
    """

    maps: tuple[Tensor, ...]
    pyramid: tuple[Tensor, ...] = ()
    image: Tensor | None = None


@dataclass(frozen=True)
class Evidence:
    """The maps by which references vote on the voxels of a query.

    Args:
        maps: by name, (B, K or 1, E, d, h, w) at half resolution.
        displacements: (B, 3, d, h, w) per reference, cells of 4 voxels.
    """

    maps: dict[str, Tensor]
    displacements: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True)
class Decoded:
    """The result of a pass.

    Args:
        logits: (B, K, D, H, W).
        evidence: of each class alone, which training supervises; empty without a memory.
        coarse: (B, K, d, h, w), logits of the tokens alone at strides 8, 4 and 2, or 2 alone; extensions have
            no part in them.
    """

    logits: Tensor
    evidence: Evidence = field(default_factory=lambda: Evidence({}))
    coarse: tuple[Tensor, ...] = ()


class Iris(nn.Module):
    """The network of a config."""

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
                self.correspondence = Correspondence(config.matching_channels)
                own += HEADS + 1
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
        """The paper's task embedding (B, K, m + 1, C); arguments as of `encode_memory`."""
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

    def places(self, features: ImageFeatures, memory: ReferenceMemory, offset: Tensor) -> Places | None:
        """Where each cell of a query lies in a reference; None without the extension."""
        if not self.config.correspondence:
            return None
        fine, coarse = features.pyramid[:2]
        return self.correspondence.find(coarse, fine, offset, memory)

    def compare(
        self,
        features: ImageFeatures,
        memory: ReferenceMemory,
        offset: Tensor | None = None,
        places: Places | None = None,
    ) -> Evidence:
        """The evidence of one reference for a query.

        Args:
            features: of the query.
            memory: of the reference.
            offset: (B, 3), of the query window, voxels; None: zeros.
            places: where its cells lie in the reference; None: the network finds them.
        """
        pyramid, size = features.pyramid, features.pyramid[0].shape[2:]
        if offset is None:
            offset = pyramid[1].new_zeros(pyramid[1].shape[0], 3)
        maps: dict[str, Tensor] = {}
        fields = []
        if self.config.similarity:
            maps["similarity"] = similarity_maps(
                pyramid, memory.prototypes, size, self.similarity_scale, self.similarity_bias
            )
        places = self.places(features, memory, offset) if places is None else places
        if places is not None:
            match = self.correspondence.read(pyramid[0], memory, places)
            fine = upsample_many(places.propagated.flatten(1, 2), size)
            maps["propagated"] = fine.unflatten(1, places.propagated.shape[1:3])
            maps["warped"] = match.warped[:, :, None]
            maps["agreement"] = match.agreement[:, None]
            fields = [match.displacement]
        if self.config.place:
            maps["place"] = self._place(pyramid[1], memory, offset)[:, :, None]
        return Evidence(maps, fields)

    def decode(self, features: ImageFeatures, tokens: Tensor, evidence: Evidence | None = None) -> Decoded:
        """All classes of a query in one pass. Paper: Eq. 5-6.

        Args:
            features: of the query.
            tokens: (B, K, m + 1, C).
            evidence: of the references; None: tokens alone.
        """
        made = self.mask_decoder(features.maps, tokens)
        full, half = made.maps[-1], made.maps[-2]
        vector, bias = made.full_vector[..., :-1], made.full_vector[..., -1, None, None, None]
        own, deep = made.coarse_logits()
        if self.config.deep_vectors and evidence is None:
            logits = class_logits(full, vector, plus=upsample_many(deep[-1] + bias, full.shape[2:]))
            return Decoded(logits, coarse=tuple(deep))
        if not self.config.extended:
            return Decoded(class_logits(full, vector) + bias)
        maps = {} if evidence is None else dict(evidence.maps)
        shared = [torch.full_like(half[:, :1], 0.0 if evidence is None else 1.0)]
        if self.config.correspondence:
            shared.append(torch.zeros_like(half[:, :1]) if evidence is None else maps.pop("agreement")[:, 0])
        parts = [own[:, :, None], *maps.values()]
        coarse = self.evidence_head(torch.cat(shared, dim=1), parts, half)
        guess = maps.get("warped", maps.get("place"))
        if guess is not None:
            coarse = coarse + self.prior_gain * torch.logit(box_mean(guess[:, :, 0], 3), PROBABILITY_FLOOR)
        if self.config.deep_vectors:
            coarse = coarse + self.token_gain * deep[-1]
        logits = class_logits(full, vector, plus=upsample_many(coarse + bias, full.shape[2:]))
        fields = [] if evidence is None else evidence.displacements
        return Decoded(logits, Evidence(maps, fields), tuple(deep))

    def _place(self, query: Tensor, memory: ReferenceMemory, offset: Tensor) -> Tensor:
        """The blurred reference masks at the same place of the field of view: (B, K, 2d, 2h, 2w)."""
        apart = (offset - memory.offset) / MASK_STRIDE  # (B, 3), cells of a mask
        maps = memory.masks
        for axis, cells in enumerate(query.shape[2:]):
            matrix = place_matrix(2 * cells, maps.shape[2 + axis], apart[:, axis], PLACE_BLUR)  # (B, out, in)
            maps = torch.einsum("bkx...,byx->bky...", maps.movedim(2 + axis, 2), matrix).movedim(2, 2 + axis)
        return maps
