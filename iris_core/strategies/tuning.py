"""In-context tuning: gradient descent on the tokens alone, the network frozen. Paper: 3.3, 4.3.

Every reference is segmented with the embedding of the others (leave one out), so that the stored memory of a
reference never answers for itself; a single reference is answered by augmented copies of itself. A held-back
reference decides when to stop, and a start that is never beaten is kept (docs/decisions/0010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from iris_core.inference.passes import mirrored
from iris_core.progress import Progress, halves
from iris_core.segmenter import Segmenter
from iris_core.strategies.pool import holders, mixture
from iris_core.task.embedding import TaskEmbedding
from iris_core.training.losses import segmentation_loss, soft_dice
from iris_core.triple import triple
from iris_core.windows.windows import offset_of, pad, region_of, shift_of

STEPS, PATIENCE, CHECK_EVERY = 40, 3, 5
RATE = 0.02
MARGIN = 16  # voxels around the foreground
NOT_THERE = -20.0  # logit where nothing is known: it costs nothing and nothing is learnt there


@dataclass(frozen=True)
class Example:
    """A prepared reference.

    Args:
        image: (1, D, H, W).
        masks: (K, D, H, W).
        names: its K classes.
        unknown: (K, D, H, W) in [0, 1], where masks are a guess; None: nowhere.
    """

    image: Tensor
    masks: Tensor
    names: tuple[str, ...]
    unknown: Tensor | None = None

    def mirrored(self) -> Example:
        """The same reference in the mirror."""
        unknown = None if self.unknown is None else mirrored(self.unknown)
        return replace(self, image=mirrored(self.image), masks=mirrored(self.masks), unknown=unknown)


@dataclass(frozen=True)
class Tuned:
    """What tuning gave.

    Attributes:
        embedding: the tuned one.
        before: Dice of the held-back examples with the embedding to start from.
        after: their Dice with the tuned one.
        steps: in all.
    """

    embedding: TaskEmbedding
    before: float
    after: float
    steps: int


def tune(
    segmenter: Segmenter,
    pool: Sequence[TaskEmbedding],
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    steps: int = STEPS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Tuned:
    """Tunes the tokens of a task on its references, and those of their mirrored embeddings in the mirror.

    Args:
        segmenter: its network stays as it is.
        pool: N embeddings, one per reference.
        examples: the same N references, prepared.
        names: K classes.
        steps: at most; 0 gives the start back.
        seed: of augmentation and order.
        progress: called with (steps done, steps in all).
    """
    turned = [embedding.mirror for embedding in pool if embedding.mirror is not None]
    plan = {"steps": steps, "seed": seed}
    if len(turned) < len(pool):
        return _tuned(segmenter, pool, examples, names, progress=progress, **plan)
    first, second = halves(progress)
    one = _tuned(segmenter, pool, examples, names, progress=first, **plan)
    there = [example.mirrored() for example in examples]
    other = _tuned(segmenter, turned, there, names, progress=second, **plan)
    return Tuned(
        replace(one.embedding, mirror=other.embedding),
        (one.before + other.before) / 2,
        (one.after + other.after) / 2,
        one.steps + other.steps,
    )


def _tuned(
    segmenter: Segmenter,
    pool: Sequence[TaskEmbedding],
    examples: Sequence[Example],
    names: Sequence[str],
    *,
    steps: int,
    seed: int,
    progress: Progress | None,
) -> Tuned:
    """As `tune`, seen one way."""
    pool = [replace(embedding, mirror=None) for embedding in pool]
    start = mixture(pool, {name: holders(pool, name) for name in names})
    generator = torch.Generator().manual_seed(seed)
    held = [len(examples) - 1] if len(examples) > 1 else [0]
    train = [n for n in range(len(examples)) if n not in held] or [0]
    crops = [_Crop(segmenter, example, names) for example in examples]
    others = [_without(pool, n, start) for n in range(len(examples))]
    checks = [crops[n].copy(torch.Generator().manual_seed(seed + 1), plain=len(examples) > 1) for n in held]

    delta = torch.zeros_like(start.tokens, device=segmenter.device, requires_grad=True)
    optimiser = torch.optim.Adam([delta], lr=RATE)

    def logits_of(index: int, copy: _Copy) -> Tensor:
        task = others[index].to(segmenter.device)
        task = replace(task, tokens=task.tokens + delta)
        logits = crops[index].decode(copy.image, task)
        if copy.unknown is None:
            return logits
        return logits.masked_fill(copy.unknown[None].to(segmenter.device), NOT_THERE)

    def score() -> float:
        with torch.no_grad():
            values = [
                1
                - soft_dice(logits_of(n, copy).sigmoid(), copy.masks.to(segmenter.device)[None]).mean().item()
                for n, copy in zip(held, checks, strict=True)
            ]
        return sum(values) / len(values)

    before = best = score()
    kept, taken, idle = torch.zeros_like(delta), 0, 0
    for step in range(1, steps + 1):
        index = train[int(torch.randint(len(train), (), generator=generator))]
        copy = crops[index].copy(generator)
        logits = logits_of(index, copy)
        target = copy.masks[None].to(segmenter.device)
        present = target.flatten(2).sum(-1) >= 1
        loss = segmentation_loss(logits, target, crops[index].known.to(segmenter.device)[None], present)
        (delta.grad,) = torch.autograd.grad(loss, [delta])  # the network gathers none, even where it could
        optimiser.step()
        taken = step
        if progress is not None:
            progress(step, steps)
        if step % CHECK_EVERY == 0:
            now = score()
            if now > best + 1e-4:
                best, kept, idle = now, delta.detach().clone(), 0
            else:
                idle += 1
                if idle == PATIENCE:
                    break
    if progress is not None:
        progress(steps, steps)
    tokens = start.tokens + kept.cpu() if best > before else start.tokens
    return Tuned(replace(start, tokens=tokens.half().float()), before, best, taken)


def _without(pool: Sequence[TaskEmbedding], index: int, start: TaskEmbedding) -> TaskEmbedding:
    """The start's tokens with the memories of all references but one, or of it where no other has a class.

    Where there is no other, what it remembers of its borders is left out: they would answer for it.
    """
    bare = tuple(memory.without_borders() for memory in pool[index].memories)
    pool = [*pool[:index], replace(pool[index], memories=bare), *pool[index + 1 :]]
    chosen = {}
    for name in start.names:
        own = holders(pool, name)
        chosen[name] = [n for n in own if n != index] or own
    return replace(mixture(pool, chosen), tokens=start.tokens)


@dataclass(frozen=True)
class _Copy:
    """What is decoded and what should come out.

    Args:
        image: (1, D, H, W).
        masks: (K, D, H, W), 0 or 1; 0 where nothing is known.
        unknown: (K, D, H, W) bool, voxels that count for nothing; None: nowhere.
    """

    image: Tensor
    masks: Tensor
    unknown: Tensor | None = None


class _Crop:
    """The labelled region of an example, cut to one window, with augmented copies of it."""

    def __init__(self, segmenter: Segmenter, example: Example, names: Sequence[str]) -> None:
        self.segmenter = segmenter
        where = [example.names.index(name) if name in example.names else None for name in names]
        self.known = torch.tensor([w is not None for w in where])
        empty = torch.zeros_like(example.image)
        masks = torch.cat([example.masks[w : w + 1] if w is not None else empty for w in where])
        box = region_of(masks, MARGIN, (32, 32, 32))
        cut = []
        for side, window, length in zip(box, segmenter.window, example.image.shape[1:], strict=True):
            middle = (side.start + side.stop) // 2
            size = min(side.stop - side.start, window)
            first = min(max(0, middle - size // 2), length - size)
            cut.append(slice(first, first + size))
        self.image, padding = pad(example.image[(slice(None), *cut)])
        self.masks, _ = pad(masks[(slice(None), *cut)])
        self.unknown = None
        if example.unknown is not None:
            unknown = torch.cat([example.unknown[w : w + 1] if w is not None else empty for w in where])
            self.unknown, _ = pad(unknown[(slice(None), *cut)])
        shape = triple(self.image.shape[1:])
        offset = offset_of((0, 0, 0), shape, padding) + shift_of(cut, triple(example.image.shape[1:]))
        self.offset = offset[None].to(segmenter.device)

    def copy(self, generator: torch.Generator, *, plain: bool = False) -> _Copy:
        """An augmented copy: a small affine move, brightness, contrast and noise; no mirroring."""
        if plain:
            return self._copied(self.image, self.masks, self.unknown)
        draw = torch.rand(8, generator=generator) * 2 - 1
        theta = torch.eye(3, 4)
        theta[:, :3] *= 1 + 0.1 * draw[0]
        angle = 0.17 * draw[1]
        cos, sin = torch.cos(angle), torch.sin(angle)
        axis = int(torch.randint(3, (), generator=generator))
        a, b = [i for i in range(3) if i != axis]
        turn = torch.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = cos, -sin, sin, cos
        theta[:, :3] = theta[:, :3] @ turn
        theta[:, 3] = 0.05 * draw[2:5]
        grid = F.affine_grid(theta[None], [1, 1, *self.image.shape[1:]], align_corners=False)
        image = F.grid_sample(self.image[None], grid, align_corners=False)[0]
        masks = F.grid_sample(self.masks[None], grid, align_corners=False)[0]
        unknown = None
        if self.unknown is not None:
            unknown = F.grid_sample(self.unknown[None], grid, align_corners=False)[0]
        noise = torch.randn(image.shape, generator=generator) * 0.05 * draw[7].abs()
        return self._copied(image * (1 + 0.1 * draw[5]) + 0.1 * draw[6] + noise, masks, unknown)

    @staticmethod
    def _copied(image: Tensor, masks: Tensor, unknown: Tensor | None) -> _Copy:
        masks = (masks > 0.5).float()
        if unknown is None:
            return _Copy(image, masks)
        hidden = unknown > 0.5
        return _Copy(image, masks.masked_fill(hidden, 0.0), hidden)

    def decode(self, image: Tensor, task: TaskEmbedding) -> Tensor:
        """(1, K, D, H, W) logits; gradients reach the tokens only."""
        with torch.no_grad():
            batch = image[None].to(self.segmenter.device, memory_format=torch.channels_last_3d)
            features = self.segmenter.model.encode_image(batch)
        return self.segmenter.decode(features, task, self.offset)
