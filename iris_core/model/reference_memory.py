"""What is stored of one reference beside its tokens, so that a query can be compared with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

MASK_STRIDE = 2  # voxels per side of a stored mask cell
FEATURE_STRIDE = 4  # voxels per side of a stored feature cell
BY_CLASS = ("masks", "prototypes", "bias", "outlines")  # fields with a class axis


@dataclass(frozen=True)
class ReferenceMemory:
    """Extras of a task embedding that belong to one reference. All tensors carry the batch axis B first.

    Args:
        features: (B, F, d, h, w), matching features at stride 4.
        fine: (B, F/2, 2d, 2h, 2w), matching features at stride 2.
        masks: (B, K, 2d, 2h, 2w), mean of each class mask in cells of 2^3 voxels.
        prototypes: (B, K, L, 2, F), unit vectors of foreground and background at strides 2, 4, 8, 16; the
            finest level fills half of F.
        landmarks: (B, 1, d, h, w) in [0, 1], how much of each cell is labelled at all, also by classes that
            the task leaves out; by them the query is aligned (iris_core.inference.place).
        offset: (B, 3), centre of this grid minus the centre of the reference's field of view, in voxels.
        bias: (B, K), added to the logits of a class (iris_core.inference.bias); infinity where the reference
            decides nothing.
        edges: (B, 3, D, H, W), directions of the image's edges, voxel by voxel, in a box around all that is
            labelled (iris_core.inference.pair_fit); None: no query is fitted to them.
        outlines: (B, K, D, H, W) bool, each class in that box.
        aside: (B, 3), centre of that box minus the centre of the grid, voxels.
        field: (B, 12, ...) in [0, 1], descriptors of the whole field of view in cells
            (iris_core.inference.place); None: the query's place is guessed by features alone.
        field_cell: (B, 3), sides of these cells, voxels.
        warp: (B, 3, ...) voxels, of a memory that was placed in a query (iris_core.inference.place): by how
            much the query's places lie elsewhere in it; None: nowhere. No card holds it.
        warp_cell: (B, 3), sides of its cells, voxels.
        warp_offset: (B, 3), centre of its grid minus the centre of the query's field of view, voxels.
    """

    features: Tensor
    fine: Tensor
    masks: Tensor
    prototypes: Tensor
    landmarks: Tensor
    offset: Tensor
    bias: Tensor
    edges: Tensor | None = None
    outlines: Tensor | None = None
    aside: Tensor | None = None
    field: Tensor | None = None
    field_cell: Tensor | None = None
    warp: Tensor | None = None
    warp_cell: Tensor | None = None
    warp_offset: Tensor | None = None

    @property
    def outlined(self) -> tuple[Tensor, Tensor, Tensor]:
        """`edges`, `outlines` and `aside`, which a memory has all or none of.

        Raises:
            ValueError: it has none.
        """
        if self.edges is None or self.outlines is None or self.aside is None:
            raise ValueError("the memory holds no edges")
        return self.edges, self.outlines, self.aside

    def map(self, function: Callable[[Tensor], Tensor]) -> ReferenceMemory:
        """The same memory with a function applied to each tensor."""
        return ReferenceMemory(**{name: function(value) for name, value in self.tensors().items()})

    def without_borders(self) -> ReferenceMemory:
        """The same memory to which no query is fitted voxel by voxel."""
        return replace(self, edges=None, outlines=None, aside=None)

    def tensors(self) -> dict[str, Tensor]:
        """What it holds, by name."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def select(self, classes: list[int]) -> ReferenceMemory:
        """Only the classes at these positions."""
        index = torch.as_tensor(classes, device=self.masks.device)
        held = self.tensors()
        chosen = {name: held[name].index_select(1, index) for name in BY_CLASS if name in held}
        return replace(self, **chosen)

    def spread(self, places: list[int], classes: int) -> ReferenceMemory:
        """The memory with its classes moved to these places among `classes`; the others are empty."""
        held, moved = self.tensors(), {}
        for name in BY_CLASS:
            if name in held:
                moved[name] = held[name].new_zeros(1, classes, *held[name].shape[2:])
                moved[name][:, places] = held[name]
        return replace(self, **moved)
