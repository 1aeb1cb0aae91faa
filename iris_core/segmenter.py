"""Segmenter: a network, its windows and its device; encodes references and decodes queries.

The stages between stand in iris_core.inference. Volumes here are prepared: RAS+, working spacing, z-scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from iris_core.config import PAPER_WINDOW, WINDOW_OVERLAP
from iris_core.errors import InputError
from iris_core.inference.bias import class_biases
from iris_core.inference.even_windows import blended_evenly
from iris_core.inference.evidence import Comparison
from iris_core.inference.pair_fit.reference_edges import reference_edges
from iris_core.inference.pair_fit.transfer import join
from iris_core.inference.passes import mirrored
from iris_core.inference.place.descriptor import whole_field
from iris_core.inference.settings import DEFAULTS, InferenceSettings
from iris_core.model.iris import ImageFeatures, Iris
from iris_core.preprocessing.grid import Spacing
from iris_core.preprocessing.intensity import PAPER, IntensityRecipe
from iris_core.progress import Progress
from iris_core.task.embedding import TaskEmbedding, stored_precision
from iris_core.triple import triple
from iris_core.windows.memory_canvas import MemoryCanvas
from iris_core.windows.query_features import QueryFeatures, encode_query
from iris_core.windows.windows import (
    Shape,
    blended,
    fitting,
    offset_of,
    pad,
    region_of,
    shift_of,
    starts,
)


@dataclass(eq=False, repr=False)
class Segmenter:
    """Runs a network over volumes of any size.

    Attributes:
        model: the network, in evaluation mode.
        device: where it lies.
        window: most voxels per side that the network sees at once; multiples of 16.
        overlap: share of a window that the next one covers again (paper: 0.5).
        recipe: by which the network's images are normalised.
        settings: of the stages.
        even_windows: windows lie as nnU-Net lays them (iris_core.inference.even_windows).
        fingerprint: of the weights; tasks and task cards keep it.
        encode_calls: references encoded so far.
    """

    model: Iris
    device: str | torch.device = "cpu"
    window: Shape = PAPER_WINDOW
    overlap: float = WINDOW_OVERLAP
    recipe: IntensityRecipe = PAPER
    settings: InferenceSettings = DEFAULTS
    even_windows: bool = False
    fingerprint: str = ""
    encode_calls: int = field(default=0, init=False)

    @cached_property
    def comparison(self) -> Comparison:
        """What compares a query with the memories of references."""
        return Comparison(self.model, self.settings)

    @property
    def passes(self) -> int:
        """How often a reference is encoded: a second time in the mirror, but for the paper's network."""
        return 2 if self.settings.mirroring.enabled and self.model.config.extended else 1

    def changed(self, *assignments: str) -> Segmenter:
        """The same with single settings changed, each by "stage.name=value"."""
        return replace(self, settings=self.settings.changed(assignments))

    def in_even_windows(self, window: Shape) -> Segmenter:
        """The same in windows of exactly this size, which lie as nnU-Net lays them."""
        return replace(self, window=window, even_windows=True)

    @torch.no_grad()
    def encode(
        self,
        image: Tensor,
        masks: Tensor,
        names: Sequence[str],
        labelled: Tensor | None = None,
        unknown: Tensor | None = None,
        spacing: Spacing = (1.0, 1.0, 1.0),
    ) -> TaskEmbedding:
        """The task embedding of one reference.

        A reference larger than the window is cut to its labelled region; where that is larger still, windows
        that hold a class are averaged by its volume in them.

        Args:
            image: (1, D, H, W), prepared.
            masks: (K, D, H, W) in [0, 1].
            names: K class names.
            labelled: (1, D, H, W) in [0, 1], all that the reference's label shows; None: these classes.
            unknown: (K, D, H, W) in [0, 1], where the label leaves the classes unknown and the masks are a
                guess; None: nowhere.
            spacing: of the voxels, mm; only how they relate to each other counts.

        Raises:
            InputError: a mask is empty.
        """
        self.encode_calls += 1
        labelled = masks.amax(0, keepdim=True) if labelled is None else labelled
        one = self._reference(image, masks, names, labelled, unknown, spacing)
        if self.passes == 1:
            return one
        there = None if unknown is None else mirrored(unknown)
        other = self._reference(mirrored(image), mirrored(masks), names, mirrored(labelled), there)
        return replace(one, mirror=other)

    @torch.no_grad()
    def tokens_of(self, image: Tensor, masks: Tensor, names: Sequence[str]) -> TaskEmbedding:
        """An embedding to compare tokens by; no query is segmented with it. Arguments as in `encode`."""
        return self._cut_and_encoded(image, masks, names, masks.amax(0, keepdim=True), None)[0]

    def _reference(
        self,
        image: Tensor,
        masks: Tensor,
        names: Sequence[str],
        labelled: Tensor,
        unknown: Tensor | None,
        spacing: Spacing | None = None,
    ) -> TaskEmbedding:
        """As `encode`, in one view; with a spacing what the whole field looks like is kept too."""
        embedding, cut = self._cut_and_encoded(image, masks, names, labelled, unknown)
        if not embedding.memories:
            return embedding
        memory = embedding.memories[0]
        if self.settings.bias.enabled:  # before edges join in: they would carry a mask onto itself
            logits = self.segment(image[cut], embedding, whole=False)
            hidden = None if unknown is None else unknown[cut]
            memory = replace(memory, bias=class_biases(logits, masks[cut], hidden, self.settings.bias)[None])
        if self.model.config.correspondence:
            edges = reference_edges(pad(image[cut])[0], pad(torch.cat([masks, labelled])[cut])[0])
            memory = replace(memory, **edges)
        if self.settings.place_search.enabled and spacing is not None:
            memory = replace(memory, **whole_field(image, spacing, self.settings.place_search))
        return stored_precision(replace(embedding, memories=(memory,)))

    def _cut_and_encoded(
        self, image: Tensor, masks: Tensor, names: Sequence[str], labelled: Tensor, unknown: Tensor | None
    ) -> tuple[TaskEmbedding, tuple[slice, ...]]:
        """The embedding of a reference before anything is fitted, and the part of the volume behind it."""
        volumes = masks.flatten(1).sum(-1)
        for name, volume in zip(names, volumes.tolist(), strict=True):
            if volume <= 0:
                raise InputError(
                    "no voxel of the class is left at the working spacing", where=name,
                    remedy="use a finer --spacing",
                )  # fmt: skip
        cut = tuple(slice(0, n) for n in image.shape[1:])
        if any(fitting(n) > w for n, w in zip(image.shape[1:], self.window, strict=True)):
            cut = region_of(masks, self.settings.context_margin, self.window)
        shift, whole = shift_of(cut, triple(image.shape[1:])), (slice(None), *cut)
        part, padding = pad(image[whole])
        part_masks, _ = pad(torch.cat([masks, labelled])[whole])
        hidden = None if unknown is None else pad(unknown[whole])[0]
        offset = offset_of((0, 0, 0), triple(part.shape[1:]), padding) + shift
        embedding = self._encode_windows(part, part_masks, hidden, tuple(names), offset)
        return stored_precision(embedding.to("cpu")), whole

    def _encode_windows(
        self, image: Tensor, masks: Tensor, unknown: Tensor | None, names: tuple[str, ...], offset: Tensor
    ) -> TaskEmbedding:
        """As `encode`, of masks (K + 1, D, H, W): those of the classes and last what is labelled at all.

        `offset` is the centre of the image minus that of the volume it was cut from, voxels.
        """
        zero = torch.zeros((), device=self.device)
        tokens, pooled, weight = zero, zero, zero
        canvas: MemoryCanvas | None = None
        shape = triple(image.shape[1:])
        window = triple(min(w, n) for w, n in zip(self.window, shape, strict=True))
        places = self._places(shape, window)
        for start in places:
            cut = (slice(None), *(slice(s, s + w) for s, w in zip(start, window, strict=True)))
            shown = masks[cut].to(self.device)[None]
            held, labelled = shown[:, :-1], shown[:, -1:]
            hidden = None if unknown is None else unknown[cut].to(self.device)[None]
            share = held.flatten(2).sum(-1)[0]  # (K,) voxels of each class in this window
            if not bool((share > 0).any()) and len(places) > 1 and not self.model.config.extended:
                continue
            features = self.features(image[cut])
            tokens = tokens + share[:, None, None] * self.model.encode_tokens(features, held, hidden)[0]
            pooled = pooled + features.maps[-1].mean((0, 2, 3, 4))
            weight = weight + share
            nowhere = torch.zeros(1, 3, device=self.device)  # the canvas knows the place
            memory = self.model.encode_memory(features, held, nowhere, labelled, hidden)
            if memory is not None:
                canvas = canvas or MemoryCanvas(memory, shape)
                canvas.add(memory, start, share)
        memories = () if canvas is None else (canvas.finish(offset.to(self.device)[None]),)
        weights = None if canvas is None else torch.ones(len(names), 1)
        return TaskEmbedding(names, tokens / weight[:, None, None], memories, weights, pooled / len(places))

    def segment(
        self, image: Tensor, embedding: TaskEmbedding, progress: Progress | None = None, whole: bool = True
    ) -> Tensor:
        """Logits of all classes on the working grid, without close-ups.

        Args:
            image: (1, D, H, W), prepared.
            embedding: of K classes.
            progress: called with (windows done, windows in all).
            whole: the image is all that there is, so classes outside its field of view are left empty.

        Returns:
            (K, D, H, W) on the CPU; above 0 means foreground.
        """
        from iris_core.inference.pipeline import Asked, PreparedQuery, segment_query

        query, asked = PreparedQuery.bare(image, whole), Asked.of(embedding)
        maps = segment_query(self, query, asked, progress=progress)
        return torch.stack([one.logits for one in maps.values()])

    def encode_query(self, image: Tensor, embedding: TaskEmbedding) -> QueryFeatures:
        """Features of a prepared query (1, D, H, W), which is to be compared with a task."""
        compare = self.settings.alignment.enabled and bool(embedding.memories) and not self.even_windows
        return encode_query(self.model, self.features, image, self.window, compare=compare)

    def decode_query(
        self, query: QueryFeatures, embedding: TaskEmbedding, progress: Progress | None = None
    ) -> Tensor:
        """Logits of a whole query, window by window, on the CPU: (K, D, H, W).

        The embedding is on the device, and its memories lie where the query has the same places.
        """
        if self.even_windows:
            return blended_evenly(self, query.image, embedding, progress)

        def decoded(part: Tensor, start: Shape) -> Tensor:
            offset = offset_of(start, query.window, query.padding).to(self.device)
            return self.decode(self.features(part), embedding, offset[None])

        if query.alone is None:
            volume = query.padded.to(self.device)
            logits = blended(volume, query.window, self.overlap, decoded, progress)
        else:
            logits = self.decode(query.alone, embedding, query.offset[None])[0].float().cpu()
            if progress is not None:
                progress(1, 1)
        return query.padding.remove(logits)

    def decode(self, features: ImageFeatures, embedding: TaskEmbedding, offset: Tensor) -> Tensor:
        """Stages 4 to 6 for one window: evidence, fitted, decoded, with biases and transferred masks.

        Where gradients are wanted nothing is fitted.

        Args:
            features: of the window.
            embedding: of K classes, on the device.
            offset: (1, 3), of the window, voxels.

        Returns:
            (1, K, D, H, W) logits.
        """
        weights = None if embedding.weights is None else embedding.weights[None]
        compared = self.comparison.with_all(features, embedding.memories, weights, offset)
        evidence = None if compared is None else compared.evidence
        logits = self.model.decode(features, embedding.tokens[None], evidence).logits
        if embedding.memories and self.settings.bias.enabled:
            logits = logits + embedding.bias.to(self.device)[None, :, None, None, None]
        if compared is not None and compared.transferred is not None:
            logits = logits.float()
            join(logits, compared.transferred, self.settings.edge_fit.most_trusted)
        return logits

    @torch.no_grad()
    def image_vector(self, image: Tensor) -> Tensor:
        """(C,): mean feature of a prepared image (1, D, H, W), for image-level retrieval."""
        cut = []
        for length, window in zip(image.shape[1:], self.window, strict=True):
            first = max(0, (length - window) // 2)
            cut.append(slice(first, first + min(length, window)))
        part, _ = pad(image[(slice(None), *cut)])
        return self.features(part).maps[-1].mean((0, 2, 3, 4)).cpu()

    def features(self, part: Tensor) -> ImageFeatures:
        """Features of a window (1, D, H, W)."""
        batch = part[None].to(self.device, memory_format=torch.channels_last_3d)
        return self.model.encode_image(batch)

    def _places(self, shape: Shape, window: Shape) -> list[Shape]:
        steps = [max(16, int(w * (1 - self.overlap)) // 16 * 16) for w in window]
        axes = [starts(n, w, s) for n, w, s in zip(shape, window, steps, strict=True)]
        return [(i, j, k) for i in axes[0] for j in axes[1] for k in axes[2]]
