"""How much of an image can be read out of a task card: linear regression on the features that it keeps.

    python -m benchmarks.card_readout --train FOLDER:1-9 --test FOLDER:10-12 --spacing 1

Whoever has the weights, which are public, can encode images of their own and learn to invert the features:
each voxel from the 27 cells of 2^3 voxels around it, by ridge regression, from some studies for others.
Prints the correlation with the true image; --picture writes both side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.analyses.bench.studies import Study, open_studies
from benchmarks.token_readout import read_tokens, spoken_readout
from iris_core.checkpoint import load_model
from iris_core.model.iris import Iris
from iris_core.preprocessing.prepare import prepare_image
from iris_core.windows.windows import pad

RIDGE = 1e-4  # of the mean square of a feature


@torch.no_grad()
def cells_of(model: Iris, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features around every cell of 2^3 voxels, its voxels, and which of them are image and not padding.

    Args:
        model: the network.
        image: (1, D, H, W), prepared.

    Returns:
        (cells, features), (cells, 8) and (cells, 8) bool.
    """
    part, padding = pad(image)
    fine, coarse = model.encode_image(part[None]).pyramid[:2]
    size = fine.shape[2:]
    around = F.pad(fine, (1,) * 6, mode="replicate").unfold(2, 3, 1).unfold(3, 3, 1).unfold(4, 3, 1)
    near = around.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(0, 3)
    wide = F.interpolate(coarse, size=size, mode="nearest").flatten(2)[0].T
    features = torch.cat([near, wide, torch.ones(len(near), 1)], dim=1)
    whole = padding.remove(torch.arange(part.numel()).view(part.shape))
    shown = torch.zeros(part.numel(), dtype=torch.bool).index_fill(0, whole.flatten(), True).view(part.shape)
    return features, _by_cell(part[0]), _by_cell(shown[0])


def _by_cell(volume: Tensor) -> Tensor:
    """(D, H, W) -> (cells, 8)."""
    d, h, w = (n // 2 for n in volume.shape)
    return volume.view(d, 2, h, 2, w, 2).permute(0, 2, 4, 1, 3, 5).reshape(-1, 8)


def learnt(model: Iris, images: list[Tensor]) -> Tensor:
    """(features, 8): the read-out that fits some images best."""
    moment, target = 0.0, 0.0
    for image in images:
        features, voxels, shown = cells_of(model, image)
        whole = shown.all(1)
        features, voxels = features[whole].double(), voxels[whole].double()
        moment, target = moment + features.T @ features, target + features.T @ voxels
    damping = RIDGE * moment.diagonal().mean() * torch.eye(len(moment)).double()
    return torch.linalg.solve(moment + damping, target)


def main() -> None:
    """Learns from the training studies and rebuilds the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", required=True, metavar="SET[:CASES]")
    parser.add_argument("--test", required=True, metavar="SET[:CASES]")
    parser.add_argument("--spacing", type=float, default=1.5, help="mm (default: 1.5)")
    parser.add_argument("--modality", choices=("ct", "mr"), default="mr")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.png", help="the last image and what was rebuilt"
    )
    parser.add_argument("--checkpoint", type=Path, help="other weights than the shipped ones")
    parser.add_argument(
        "--tokens-only", action="store_true", help="of cards by iris encode --tokens-only, for whole images"
    )
    arguments = parser.parse_args()
    loaded = load_model(arguments.checkpoint)
    if arguments.tokens_only:
        sets = (open_studies(arguments.train), open_studies(arguments.test))
        print(spoken_readout(read_tokens(loaded, *sets, arguments.spacing, arguments.modality)))
        return
    model = loaded.model

    def prepared(study: Study) -> Tensor:
        return prepare_image(study.image, modality=arguments.modality, spacing=(arguments.spacing,) * 3).image

    readout = learnt(model, [prepared(study) for study in open_studies(arguments.train)])
    for study in open_studies(arguments.test):
        image = prepared(study)
        features, voxels, shown = cells_of(model, image)
        rebuilt = (features.double() @ readout).float()
        print(f"{study.name}: correlation {np.corrcoef(rebuilt[shown], voxels[shown])[0, 1]:.3f}")
    if arguments.picture:
        _draw(voxels, rebuilt, tuple(pad(image)[0].shape[1:]), arguments.picture)


def _draw(true: Tensor, rebuilt: Tensor, shape: tuple[int, ...], path: Path) -> None:
    from matplotlib import pyplot

    d, h, w = (n // 2 for n in shape)
    figure, axes = pyplot.subplots(1, 2, figsize=(6, 3))
    for axis, voxels, title in zip(axes, (true, rebuilt), ("image", "from its card"), strict=True):
        volume = voxels.view(d, h, w, 2, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(shape)
        axis.imshow(volume[:, :, shape[2] // 2], cmap="gray", vmin=float(true.min()), vmax=float(true.max()))
        axis.set(title=title, xticks=[], yticks=[])
    figure.tight_layout()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
