"""A picture of every family: `python benchmarks/synthesis_gallery.py docs/images/synthesis_families.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from iris_core.training.synthesis.episode_batch import EpisodeBatch
from iris_core.training.synthesis.families import FAMILIES
from iris_core.training.synthesis.generator import synthesise


def draw_gallery(path: Path, *, seed: int = 0, pairs: int = 3, side: int = 64) -> None:
    """Writes a picture with a row for each family: `pairs` pairs with the outlines of their tasks.

    Args:
        path: PNG file to write.
        seed: of the episodes.
        pairs: pairs a family.
        side: of the volumes in voxels, a multiple of 16.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    generator = torch.Generator().manual_seed(seed)
    size = (4 * pairs, 2.05 * len(FAMILIES))
    figure, axes = pyplot.subplots(len(FAMILIES), 2 * pairs, figsize=size, squeeze=False)
    for row, family in zip(axes, FAMILIES, strict=True):
        batch = synthesise(pairs, 5, (side, side, side), generator, families=[family] * pairs)
        for i in range(pairs):
            _draw_pair(row[2 * i], row[2 * i + 1], batch, i)
        row[0].set_ylabel(family)
    for column, axis in enumerate(axes[0]):
        axis.set_title("query" if column % 2 else "reference")
    figure.tight_layout(pad=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def _draw_pair(left, right, batch: EpisodeBatch, i: int) -> None:
    """Each image in the slice that shows most of the masks."""
    colours = ("tab:red", "tab:green", "tab:blue", "tab:orange", "tab:purple")
    reference = (left, batch.reference_image, batch.reference_mask)
    for axis, image, mask in (reference, (right, batch.query_image, batch.query_mask)):
        shown = (mask[i].flatten(2).sum(-1) > 0).sum(0).argmax()  # (D,) classes in the slice
        middle = int(shown) if mask[i].any() else image.shape[2] // 2
        axis.imshow(image[i, 0, middle].cpu().T, cmap="gray", origin="lower", interpolation="nearest")
        for k, one in enumerate(mask[i, :, middle].cpu()):
            if one.any() and not one.all():
                axis.contour(one.T.numpy(), levels=[0.5], colors=[colours[k % len(colours)]], linewidths=1)
        axis.set_xticks([])
        axis.set_yticks([])


if __name__ == "__main__":
    draw_gallery(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images/synthesis_families.png"))
