"""UniverSeg's network: a U of CrossBlocks. One class at a time, slice by slice."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.peer_universeg.cross_block import CrossBlock, joined, per_reference
from iris_core.errors import CheckpointError

WIDTH = 64  # channels everywhere, as published
STAGES = 5  # of the encoder, as published; the decoder has one less
SIDE = 128  # pixels of a slice's sides, as published


class UniverSeg(nn.Module):
    """Segments a query slice with N reference slices and their masks.

    With the published sizes it has 1.18 million weights.

    Args:
        width: channels of every block.
        stages: of the encoder; a slice's sides are multiples of 2 ** (stages - 1).
    """

    def __init__(self, width: int = WIDTH, stages: int = STAGES) -> None:
        super().__init__()
        self.width, self.stages = width, stages
        first = CrossBlock(1, 2, width)
        self.down = nn.ModuleList([first, *(CrossBlock(width, width, width) for _ in range(stages - 1))])
        self.up = nn.ModuleList(
            CrossBlock(2 * width, 2 * width, width, last=number == stages - 2) for number in range(stages - 1)
        )
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, query: Tensor, images: Tensor, masks: Tensor) -> Tensor:
        """Gives the logits of the mask.

        Args:
            query: (B, 1, H, W) z-scored slices.
            images: (B, N, 1, H, W) reference slices.
            masks: (B, N, 1, H, W) their masks in [0, 1].

        Returns:
            (B, H, W).
        """
        references, skips = torch.cat([images, masks], dim=2), []
        for number, block in enumerate(self.down):
            if number:
                skips.append((query, references))
                query, references = halved(query), per_reference(halved, references)
            query, references = block(query, references)
        for block in self.up:
            query, references = block(*joined(query, references, skips.pop()))
        return self.head(query)[:, 0]


def halved(maps: Tensor) -> Tensor:
    """Bilinear to half the size, which is the mean of 2 x 2 pixels."""
    return functional.avg_pool2d(maps, 2)


def save(path: Path, network: UniverSeg, done: dict[str, float]) -> None:
    """Writes weights and progress; a file that was there is replaced as a whole."""
    from safetensors.torch import save_file

    meta = {"width": network.width, "stages": network.stages, **done}
    part = path.with_suffix(".part")
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, part, {name: repr(value) for name, value in meta.items()})
    part.replace(path)


def load(path: Path) -> tuple[UniverSeg, dict[str, float]]:
    """Reads what `save` wrote: the network in evaluation mode and its progress.

    Raises:
        CheckpointError: no such file, or another's.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError("no such file", where=path, remedy="train first")
    try:
        with safe_open(path, "pt") as file:
            meta = {name: float(value) for name, value in (file.metadata() or {}).items()}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        network = UniverSeg(int(meta.pop("width")), int(meta.pop("stages")))
        network.load_state_dict(weights)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError("no weights of this peer", where=path, found=type(error).__name__) from None
    return network.eval(), meta
