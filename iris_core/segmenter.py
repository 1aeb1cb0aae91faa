"""Segmenter: the only place where the network meets whole volumes. Flow A of docs/architecture.

    reference image + masks -> windows [encode_image -> encode_task] -> TaskEmbedding      (encode, once)
    query image + TaskEmbedding -> windows [encode_image -> decode] -> K logit maps        (segment)

Decoding is the same for every strategy. Volumes here are prepared: RAS+, working spacing, z-scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from iris_core.agreement import agreement_with
from iris_core.alignment import aligned
from iris_core.borders import borders_of
from iris_core.config import EDGE_STEPS, FIT_STEPS, MIRROR, PAPER_WINDOW, WINDOW_OVERLAP
from iris_core.embedding import TaskEmbedding, stored_precision
from iris_core.errors import InputError
from iris_core.found import Found
from iris_core.intensity import PAPER, IntensityRecipe
from iris_core.memory_canvas import MemoryCanvas
from iris_core.mirroring import averaged, mirrored
from iris_core.model.iris import Decoded, ImageFeatures, Iris
from iris_core.model.reference_memory import ReferenceMemory
from iris_core.progress import Progress, halves
from iris_core.self_calibration import class_biases
from iris_core.survey import levels_of, shown_cells, survey
from iris_core.triple import triple
from iris_core.visibility import visible_shares, without_the_unseen
from iris_core.windows import Padding, Shape, fitting, offset_of, pad, region_of, shift_of, starts

CONTEXT_MARGIN = 16  # voxels around the foreground that a cropped reference keeps (ours)


class Segmenter:
    """Runs a network over volumes of any size.

    Args:
        model: in evaluation mode.
        device: where it lies.
        window: most voxels per side that the network sees at once; multiples of 16.
        overlap: share of a window that the next one covers again (paper: 0.5).
        recipe: by which the network's images are normalised.
        fit_steps: by which each displacement is fitted to the features of its pair (docs/decisions/0022).
        edge_steps: by which it is fitted to the edges of its pair then (docs/decisions/0034).
        mirror: encode and segment all a second time, mirrored (docs/decisions/0035).

    Attributes:
        encode_calls: references encoded so far.
    """

    def __init__(
        self,
        model: Iris,
        device: str | torch.device = "cpu",
        window: Shape = PAPER_WINDOW,
        overlap: float = WINDOW_OVERLAP,
        recipe: IntensityRecipe = PAPER,
        fit_steps: int = FIT_STEPS,
        edge_steps: int = EDGE_STEPS,
        mirror: bool = MIRROR,
    ) -> None:
        self.model, self.device, self.window, self.overlap = model, torch.device(device), window, overlap
        self.recipe, self.fit_steps, self.edge_steps, self.mirror = recipe, fit_steps, edge_steps, mirror
        self.encode_calls = 0

    @property
    def passes(self) -> int:
        """How often a reference is encoded: a second time in the mirror, but for the paper's network."""
        return 2 if self.mirror and self.model.config.extended else 1

    @torch.no_grad()
    def encode(
        self,
        image: Tensor,
        masks: Tensor,
        names: Sequence[str],
        labelled: Tensor | None = None,
        unknown: Tensor | None = None,
    ) -> TaskEmbedding:
        """The task embedding of one reference.

        A reference larger than the window is cut to its labelled region; where that is larger still, windows
        that hold a class are averaged by its volume in them.

        Args:
            image: (1, D, H, W), prepared.
            masks: (K, D, H, W) in [0, 1].
            names: K class names.
            labelled: (1, D, H, W) in [0, 1], all that the reference's label shows; None: these classes.
            unknown: (K, D, H, W) in [0, 1], where the label does not say and the masks are a guess; None:
                nowhere.

        Raises:
            InputError: a mask is empty.
        """
        self.encode_calls += 1
        labelled = masks.amax(0, keepdim=True) if labelled is None else labelled
        one = self._reference(image, masks, names, labelled, unknown)
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
        self, image: Tensor, masks: Tensor, names: Sequence[str], labelled: Tensor, unknown: Tensor | None
    ) -> TaskEmbedding:
        embedding, cut = self._cut_and_encoded(image, masks, names, labelled, unknown)
        if not embedding.memories:
            return embedding
        # calibrated on what the network says, before edges join in: they carry a mask onto itself
        found, _ = self._pass(image[cut], embedding)
        told = {"bias": class_biases(found, masks[cut], None if unknown is None else unknown[cut])[None]}
        if self.model.config.correspondence:
            told |= borders_of(pad(image[cut])[0], pad(torch.cat([masks, labelled])[cut])[0])
        return stored_precision(replace(embedding, memories=(replace(embedding.memories[0], **told),)))

    def _cut_and_encoded(
        self, image: Tensor, masks: Tensor, names: Sequence[str], labelled: Tensor, unknown: Tensor | None
    ) -> tuple[TaskEmbedding, tuple[slice, ...]]:
        """What the network says of a reference, and the part of the volume that it saw."""
        volumes = masks.flatten(1).sum(-1)
        for name, volume in zip(names, volumes.tolist(), strict=True):
            if volume <= 0:
                raise InputError(
                    "no voxel of the class is left at the working spacing", where=name,
                    remedy="use a finer --spacing",
                )  # fmt: skip
        cut = tuple(slice(0, n) for n in image.shape[1:])
        if any(fitting(n) > w for n, w in zip(image.shape[1:], self.window, strict=True)):
            cut = region_of(masks, CONTEXT_MARGIN, self.window)
        shift, whole = shift_of(cut, triple(image.shape[1:])), (slice(None), *cut)
        part, padding = pad(image[whole])
        part_masks, _ = pad(torch.cat([masks, labelled])[whole])
        hidden = None if unknown is None else pad(unknown[whole])[0]
        window = triple(min(w, n) for w, n in zip(self.window, part.shape[1:], strict=True))
        found = self._encode_windows(part, part_masks, hidden, tuple(names), window, padding, shift)
        return stored_precision(found.to("cpu")), whole

    def _encode_windows(
        self,
        image: Tensor,
        masks: Tensor,
        unknown: Tensor | None,
        names: tuple[str, ...],
        window: Shape,
        padding: Padding,
        shift: Tensor,
    ) -> TaskEmbedding:
        """As `encode`, of masks (K + 1, D, H, W): those of the classes and last what is labelled at all."""
        zero = torch.zeros((), device=self.device)
        tokens, pooled, weight = zero, zero, zero
        canvas: MemoryCanvas | None = None
        places = self._places(triple(image.shape[1:]), window)
        for start in places:
            cut = (slice(None), *(slice(s, s + w) for s, w in zip(start, window, strict=True)))
            shown = masks[cut].to(self.device)[None]
            held, labelled = shown[:, :-1], shown[:, -1:]
            hidden = None if unknown is None else unknown[cut].to(self.device)[None]
            share = held.flatten(2).sum(-1)[0]  # (K,) voxels of each class in this window
            if not bool((share > 0).any()) and len(places) > 1 and not self.model.config.extended:
                continue
            features = self._features(image[cut])
            tokens = tokens + share[:, None, None] * self.model.encode_tokens(features, held, hidden)[0]
            pooled = pooled + features.maps[-1].mean((0, 2, 3, 4))
            weight = weight + share
            nowhere = torch.zeros(1, 3, device=self.device)  # the canvas knows the place
            memory = self.model.encode_memory(features, held, nowhere, labelled, hidden)
            if memory is not None:
                canvas = canvas or MemoryCanvas(memory, triple(image.shape[1:]))
                canvas.add(memory, start, share)
        memories: tuple[ReferenceMemory, ...] = ()
        weights = None
        if canvas is not None:
            offset = offset_of((0, 0, 0), triple(image.shape[1:]), padding) + shift
            memories = (canvas.finish(offset.to(self.device)[None]),)
            weights = torch.ones(len(names), 1)
        return TaskEmbedding(names, tokens / weight[:, None, None], memories, weights, pooled / len(places))

    def segment(
        self,
        image: Tensor,
        embedding: TaskEmbedding,
        progress: Progress | None = None,
        whole: bool = True,
    ) -> Tensor:
        """Logits alone, (K, D, H, W) on the CPU; above 0 means foreground. Arguments as in `find`."""
        return self.find(image, embedding, progress, whole).logits

    @torch.no_grad()
    def find(
        self,
        image: Tensor,
        embedding: TaskEmbedding,
        progress: Progress | None = None,
        whole: bool = True,
    ) -> Found:
        """All classes on the working grid.

        Args:
            image: (1, D, H, W), prepared.
            embedding: of K classes.
            progress: called with (windows done, windows in all).
            whole: the image is all that there is, so classes outside its field of view are left empty.
        """
        alone = replace(embedding, mirror=None)  # each goes to the device by itself
        if embedding.mirror is None or not self.mirror:
            logits, visible = self._pass(image, alone, progress)
            found = Found(logits)
        else:
            first, second = halves(progress)
            logits, visible = self._pass(image, alone, first)
            other, seen = self._pass(mirrored(image), embedding.mirror, second)
            visible = torch.minimum(visible, seen)  # either may be aligned wrongly
            found = averaged(logits, other)
        if whole:
            expected = found.expected([1] * len(found.logits))
            without_the_unseen(found.logits, visible, embedding.volumes, expected)
        return found

    def _pass(
        self, image: Tensor, embedding: TaskEmbedding, progress: Progress | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits of an image as it is, on the CPU, and the share of each class that its view shows: (K,)."""
        embedding = embedding.to(self.device)
        window = triple(min(w, fitting(n)) for w, n in zip(self.window, image.shape[1:], strict=True))
        padded, padding = pad(image, triple(max(w, n) for w, n in zip(window, image.shape[1:], strict=True)))
        matched: tuple[bool, ...] = ()
        if tuple(padded.shape[1:]) == window:
            features = self._features(padded)
            offset = offset_of((0, 0, 0), window, padding).to(self.device)
            if embedding.memories:
                levels = levels_of(features, window, fine=self.model.config.correspondence)
                embedding, matched = self._aligned(embedding, levels, offset, image, padded)
            logits = self.decode(features, embedding, offset[None]).logits[0].float().cpu()
            if progress is not None:
                progress(1, 1)
        else:
            if embedding.memories:
                levels, offset = self._survey(image)
                embedding, matched = self._aligned(embedding, levels, offset, image, pad(image)[0])
            logits = self._slide(padded, padding, window, embedding, progress)
        visible = torch.ones(len(embedding.names))
        if embedding.memories:
            visible = visible_shares(embedding, image.shape[1:], matched).cpu()
        return padding.remove(logits), visible

    def _slide(
        self,
        padded: Tensor,
        padding: Padding,
        window: Shape,
        embedding: TaskEmbedding,
        progress: Progress | None,
    ) -> Tensor:
        """Blends overlapping windows: (K, D', H', W') logits of the padded volume."""
        from monai.inferers import sliding_window_inference  # seconds to import, so only where it is needed

        steps = [max(1, int(w * (1 - self.overlap))) for w in window]  # as the sliding window takes them
        total = prod(len(starts(*side)) for side in zip(padded.shape[1:], window, steps, strict=True))
        done = 0

        def predict(parts: Tensor, slices: Sequence[Sequence[slice]]) -> Tensor:
            nonlocal done
            maps = []
            for part, sides in zip(parts, slices, strict=True):
                offset = offset_of(triple(side.start for side in sides[-3:]), window, padding).to(self.device)
                maps.append(self.decode(self._features(part), embedding, offset[None]).logits)
                done += 1
                if progress is not None:
                    progress(min(done, total), total)
            return torch.cat(maps)

        blended = sliding_window_inference(
            padded[None].to(self.device), window, 1, predict, self.overlap, mode="gaussian", with_coord=True,
            device=torch.device("cpu"),
        )  # fmt: skip
        return blended[0].float()

    def _survey(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        levels, offset = survey(self._features, image, self.window, fine=self.model.config.correspondence)
        return levels, offset.to(self.device)

    def _aligned(
        self,
        embedding: TaskEmbedding,
        levels: Sequence[Tensor],
        offset: Tensor,
        image: Tensor,
        padded: Tensor,
    ) -> tuple[TaskEmbedding, tuple[bool, ...]]:
        """The embedding moved to where the image shows its structures, and which memories were matched.

        `levels` are those of `levels_of` of the padded image, `offset` (3,) is that of their grids.
        """
        agreement = None
        if len(levels) == 2:
            coarse, fine = levels
            agreement = agreement_with(self.model.correspondence, coarse, fine, offset, self.fit_steps)
        return aligned(embedding, levels[0][0], offset, shown_cells(image, padded).to(self.device), agreement)

    @torch.no_grad()
    def image_vector(self, image: Tensor) -> Tensor:
        """(C,): mean feature of a prepared image (1, D, H, W), for image-level retrieval."""
        cut = []
        for length, window in zip(image.shape[1:], self.window, strict=True):
            first = max(0, (length - window) // 2)
            cut.append(slice(first, first + min(length, window)))
        part, _ = pad(image[(slice(None), *cut)])
        return self._features(part).maps[-1].mean((0, 2, 3, 4)).cpu()

    def decode(self, features: ImageFeatures, embedding: TaskEmbedding, offset: Tensor) -> Decoded:
        """One pass of the decoder for one window; where gradients are wanted, without fitting the field.

        Args:
            features: of the window.
            embedding: on the segmenter's device.
            offset: (1, 3), of the window, voxels.

        Returns:
            Its B is 1.
        """
        weights = None if embedding.weights is None else embedding.weights[None]
        steps = (0, 0) if torch.is_grad_enabled() else (self.fit_steps, self.edge_steps)
        bias = embedding.bias[None].to(self.device) if embedding.memories else None
        return self.model.decode(
            features, embedding.tokens[None], embedding.memories, weights, offset, *steps, bias
        )

    def _features(self, part: Tensor) -> ImageFeatures:
        batch = part[None].to(self.device, memory_format=torch.channels_last_3d)
        return self.model.encode_image(batch)

    def _places(self, shape: Shape, window: Shape) -> list[Shape]:
        steps = [max(16, int(w * (1 - self.overlap)) // 16 * 16) for w in window]
        axes = [starts(n, w, s) for n, w, s in zip(shape, window, steps, strict=True)]
        return [(i, j, k) for i in axes[0] for j in axes[1] for k in axes[2]]
