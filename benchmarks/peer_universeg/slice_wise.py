"""Segments a volume slice by slice, one class at a time, with slices of the references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peer_universeg.network import SIDE, UniverSeg
from benchmarks.peer_universeg.slice_episode import positions, squared
from iris_core.preprocessing.grid import restore_label_map
from iris_core.preprocessing.modality import detect_modality
from iris_core.preprocessing.prepare import Prepared, prepare_image, prepare_masks
from iris_core.volume.volume import LabelVolume, Volume, canonical_spacing

AXIAL = 2  # of the RAS+ axes
THICKER = 1.25  # how much longer than the others a voxel's longest side is where slices are thick
NOTHING = -20.0  # logit where no reference slice shows the class
FEWEST = 2  # slices of each of several references


@dataclass(frozen=True)
class SliceStack:
    """A volume as slices along one axis.

    Attributes:
        images: (S, 1, side, side) z-scored.
        masks: (K, S, 1, side, side) in [0, 1]; no class for a query.
    """

    images: Tensor
    masks: Tensor


def slice_axis(image: Volume) -> int:
    """The RAS+ axis that slices are stacked along: that of the longest voxel side, else the axial one."""
    sizes = np.array(canonical_spacing(image.affine))
    longest = int(sizes.argmax())
    return longest if sizes[longest] > THICKER * np.delete(sizes, longest).max() else AXIAL


def slices_each(count: int, references: int) -> int:
    """Slices taken of each of N references, about `count` in all."""
    return count if references == 1 else max(FEWEST, -(-count // references))


@torch.no_grad()
def segment(
    network: UniverSeg,
    references: Sequence[tuple[Volume, LabelVolume]],
    query: Volume,
    values: Sequence[int],
    *,
    modality: str | None = None,
    slices: int = 6,
    side: int = SIDE,
    bfloat16: bool = False,
) -> LabelVolume:
    """Segments a query.

    A query slice meets the slices around its own relative position in every reference. Where none of them
    shows a class, the slice is given none of it. Classes compete by their logits, as in `iris segment`.

    Args:
        network: trained.
        references: images with label maps in their grids.
        query: the image to segment.
        values: label values wanted.
        modality: "ct", "mr" or "pet", of all images; None: told from each image.
        slices: reference slices of a query slice, over all references.
        side: pixels of a slice's sides.
        bfloat16: compute in bfloat16.

    Returns:
        The label map in the query's own grid.
    """
    axis, each = slice_axis(query), slices_each(slices, len(references))
    target = _prepared(query, modality)
    asked = _stack(target.image, target.image[:0], axis, side)
    stacks = []
    for image, label in references:
        prepared = _prepared(image, modality)
        masks = prepare_masks(label, values, prepared.grid)
        stacks.append(_stack(prepared.image, masks, axis, side))
    count = len(asked.images)
    logits = torch.full((len(values), count, side, side), NOTHING)
    for number in range(count):
        chosen = [positions(len(stack.images), (number + 0.5) / count, each) for stack in stacks]
        images = torch.cat([stack.images[at] for stack, at in zip(stacks, chosen, strict=True)])
        masks = torch.cat([stack.masks[:, at] for stack, at in zip(stacks, chosen, strict=True)], dim=1)
        for k in range(len(values)):
            if masks[k].any():
                with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                    found = network(asked.images[number : number + 1], images[None], masks[k : k + 1])
                logits[k, number] = found[0].float()
    shape = target.grid.shape
    flat = functional.interpolate(logits, size=_without(shape, axis), mode="bilinear", align_corners=False)
    array = restore_label_map(flat.movedim(1, axis + 1), target.grid, values)
    return LabelVolume(array, query.affine)


def _prepared(image: Volume, modality: str | None) -> Prepared:
    """The image in RAS+ order and z-scored, in its own spacing."""
    spacing = canonical_spacing(image.affine)
    return prepare_image(image, modality=modality or detect_modality(image).name, spacing=spacing)


def _stack(image: Tensor, masks: Tensor, axis: int, side: int) -> SliceStack:
    """(1, D, H, W) and (K, D, H, W) as slices along an axis."""
    own = squared(image[0].movedim(axis, 0), side)
    of_classes = [squared(mask.movedim(axis, 0), side) for mask in masks]
    return SliceStack(own, torch.stack(of_classes) if of_classes else own.new_zeros(0, *own.shape))


def _without(shape: Sequence[int], axis: int) -> tuple[int, int]:
    kept = [size for number, size in enumerate(shape) if number != axis]
    return kept[0], kept[1]
