"""What is kept of a reference's borders: directions of its edges and the outlines of its classes, near them.

docs/decisions/0034. Queries are fitted to them voxel by voxel (iris_core.inference.pair_fit).
"""

from __future__ import annotations

from torch import Tensor

from iris_core.inference.pair_fit.edge_fit import edges_of
from iris_core.triple import triple
from iris_core.windows.windows import region_of, shift_of

MARGIN = 12  # voxels kept around all that is labelled (ours)


def reference_edges(image: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """The fields `edges`, `outlines` and `aside` of a ReferenceMemory.

    Args:
        image: (1, D, H, W), z-scored, the whole grid of the memory.
        masks: (K + 1, D, H, W) in [0, 1], those of the classes and last what is labelled at all.
    """
    box = region_of(masks, MARGIN, (1, 1, 1))
    near = (slice(None), slice(None), *box)
    return {
        "edges": edges_of(image[None])[near].cpu(),
        "outlines": (masks[None, :-1] > 0.5)[near].cpu(),
        "aside": shift_of(box, triple(image.shape[1:]))[None],
    }
