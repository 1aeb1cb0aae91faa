"""Synthetic episodes for training: no file is read, every pair is new.

An anatomy is drawn from a family, given to two people (pose, warp, proportions, window), painted into two
label volumes, rendered into two images, and given K tasks. After SynthMorph (Hoffmann et al. 2022),
SynthSeg (Billot et al. 2023) and anatomix (Dey et al. 2025), with shapes of our own.
"""

from __future__ import annotations

import numpy as np
import torch

from iris_core.errors import InputError
from iris_core.training.synthesis.anatomy import LABELS
from iris_core.training.synthesis.appearance.detail import detail_maps
from iris_core.training.synthesis.appearance.painting import paint
from iris_core.training.synthesis.appearance.rendering import draw_scans, render
from iris_core.training.synthesis.deformation import draw_displacement, place
from iris_core.training.synthesis.episode_batch import EpisodeBatch
from iris_core.training.synthesis.families import FAMILIES, draw_family
from iris_core.training.synthesis.imperfect_mask import imperfect
from iris_core.training.synthesis.person_pair import draw_pair
from iris_core.training.synthesis.task_sampling import LEAST, PRESENT, Task, TaskSampler

IMPERFECT_SHARE = 0.3


@torch.no_grad()
def synthesise(
    batch_size: int,
    classes: int,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    progress: float = 1.0,
    families: list[str] | None = None,
    both_ways: bool = False,
) -> EpisodeBatch:
    """Draws B pairs of images with K tasks each.

    Args:
        batch_size: B.
        classes: K.
        shape: (D, H, W), multiples of 16.
        generator: the only source of randomness, on any device.
        device: where the batch is made.
        progress: of the training, 0 to 1: identical pairs and small warps first, full warps from .2, changes
            of contrast from .3.
        families: B names of families instead of drawn ones.
        both_ways: every person is the other's reference: 2B episodes, B from one to the other and B back. The
            query of episode i is then the reference of episode (i + B) % 2B.

    Returns:
        The batch, on `device`.

    Raises:
        InputError: a side of `shape` is no multiple of 16, or a family is unknown.
    """
    _check(batch_size, shape, families)
    rng, noise = _sources(generator, torch.device(device))
    names = families or [draw_family(rng) for _ in range(batch_size)]
    anatomies = [FAMILIES[name][0](rng, shape) for name in names]
    pairs = [draw_pair(rng, anatomy, shape, progress) for anatomy in anatomies]
    people = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]  # references, then queries
    twins = [i for i, (reference, query) in enumerate(pairs) if reference is query]

    amplitudes, spacings = np.array([p.amplitude for p in people]), np.array([p.spacing for p in people])
    shifts = draw_displacement(shape, amplitudes, spacings, noise)
    for i in twins:
        shifts[batch_size + i] = shifts[i]
    places = place(shape, np.stack([p.matrix for p in people]), np.stack([p.shift for p in people]), shifts)
    objects, merged = [p.objects for p in people], [p.merged for p in people]
    labels = paint(anatomies * 2, objects, merged, places)  # (2B, D, H, W)

    scans = [draw_scans(rng, anatomy, progress) for anatomy in anatomies]
    boxes = np.stack([p.box for p in people])
    detail = detail_maps(rng, places, noise)
    images = render(labels, detail, [a for a, _ in scans] + [b for _, b in scans], boxes, noise)
    for i in twins:
        images[batch_size + i] = images[i]

    _clear_outside(labels, boxes)
    counts = np.stack([torch.bincount(one.flatten(), minlength=LABELS).cpu().numpy() for one in labels])
    both = counts.reshape(2, batch_size, LABELS).swapaxes(0, 1)  # voxels of each label in reference and query
    samplers = [TaskSampler(rng, *one) for one in zip(anatomies, pairs, both, strict=True)]
    tasks = [[sampler.draw() for _ in range(classes)] for sampler in samplers]
    masks = _masks(tasks, labels, places)
    given = masks.clone()
    own = list(range(2 * batch_size if both_ways else batch_size))
    other = [(i + batch_size) % (2 * batch_size) for i in own]
    for i in own:
        for k in range(classes):
            if i % batch_size not in twins and rng.random() < IMPERFECT_SHARE:
                given[i, k] = imperfect(given[i, k], rng, noise)
    offsets = torch.tensor(np.stack([p.offset for p in people]), dtype=torch.float32, device=device)
    return EpisodeBatch(
        reference_image=images[own],
        reference_mask=given[own].float(),
        query_image=images[other],
        query_mask=masks[other].float(),
        valid=given[own].flatten(2).any(-1),
        present=masks[other].flatten(2).sum(-1) >= PRESENT,
        reference_offset=offsets[own],
        query_offset=offsets[other],
        family=[names[i % batch_size] for i in own],
    )


def _check(batch_size: int, shape: tuple[int, int, int], families: list[str] | None) -> None:
    if len(shape) != 3 or any(n % 16 or n < 16 for n in shape):
        raise InputError(
            "bad shape of a synthetic batch", expected="three multiples of 16", found=tuple(shape)
        )
    if families is not None and (len(families) != batch_size or not set(families) <= set(FAMILIES)):
        expected = f"{batch_size} of {sorted(FAMILIES)}"
        raise InputError("bad families of a synthetic batch", expected=expected, found=families)


def _sources(generator: torch.Generator, device: torch.device) -> tuple[np.random.Generator, torch.Generator]:
    """Numbers of shapes come from numpy, volumes of noise from torch on the device; both from one seed."""
    seeds = torch.randint(0, 2**62, (2,), generator=generator, device=generator.device).tolist()
    return np.random.default_rng(seeds[0]), torch.Generator(device).manual_seed(seeds[1])


def _clear_outside(labels: torch.Tensor, boxes: np.ndarray) -> None:
    """Padding belongs to no class."""
    for one, box in zip(labels, boxes, strict=True):
        for axis, (start, end) in enumerate(box.tolist()):
            one.narrow(axis, 0, start).zero_()
            one.narrow(axis, end, one.shape[axis] - end).zero_()


def _masks(tasks: list[list[Task]], labels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Masks (2B, K, D, H, W) of all tasks, references before queries."""
    batch = len(tasks)
    masks = torch.empty((2 * batch, len(tasks[0]), *labels.shape[1:]), dtype=torch.bool, device=labels.device)
    for i, own in enumerate(tasks):
        for k, task in enumerate(own):
            reference = task.mask(labels[i], places[i], query=False)
            if task.normal is not None and int(reference.sum()) < LEAST:  # the window shows the other half
                task = Task(task.labels)
                reference = task.mask(labels[i], places[i], query=False)
            masks[i, k] = reference
            masks[batch + i, k] = task.mask(labels[batch + i], places[batch + i], query=True)
    return masks
