"""How much of an image can be read out of a card of tokens alone: ridge regression of whole images on tokens.

Such a card says nothing voxel by voxel, so what can be learnt from other studies is how the whole image
changes with the tokens. The mean image of those studies is known without any card; it is given beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.nn import functional as F

from benchmarks.analyses.bench.studies import Study, shared_names
from iris_core.checkpoint import LoadedModel
from iris_core.preprocessing.prepare import prepare_image
from iris_core.segmenter import Segmenter
from iris_core.task_encoding import encode_task

GRID = (32, 32, 32)  # every image is brought to, edge on edge
RIDGES = tuple(10.0**power for power in range(-4, 5))  # of the mean square of a study's tokens


@dataclass(frozen=True)
class Readout:
    """What was read of one study.

    Args:
        name: of the study.
        card: correlation of the image with what its tokens give.
        mean: with the mean image of the other studies, which needs no card.
        beyond: of both, less that mean image.
    """

    name: str
    card: float
    mean: float
    beyond: float


def read_tokens(
    loaded: LoadedModel, train: Sequence[Study], test: Sequence[Study], spacing: float, modality: str
) -> list[Readout]:
    """Learns from some studies and reads others by their tokens.

    Args:
        loaded: the network.
        train: studies whose images are known, three or more.
        test: those to read. Classes that one of all studies lacks take no part.
        spacing: working voxel size, mm.
        modality: of all.
    """
    segmenter, names = Segmenter(loaded.model, **loaded.settings), list(shared_names([*train, *test]))

    def tokens_of(study: Study) -> np.ndarray:
        task = encode_task(
            segmenter, [study.reference], classes=names, modality=modality, spacing=spacing
        ).tokens_alone()
        return task.pool[0].select(names).tokens.numpy().ravel().astype(float)

    def image_of(study: Study) -> np.ndarray:
        image = prepare_image(study.image, modality=modality, spacing=(spacing,) * 3).image
        return F.interpolate(image[None], size=GRID, mode="trilinear")[0].numpy().ravel().astype(float)

    inputs, images = (np.stack([of(study) for study in train]) for of in (tokens_of, image_of))
    mean, ridge = images.mean(0), _ridge(inputs, images)
    found = []
    for study in test:
        own = image_of(study)
        told = _told(inputs, images, tokens_of(study)[None], ridge)[0]
        parts = [(told, own), (mean, own), (told - mean, own - mean)]
        found.append(Readout(study.name, *(float(np.corrcoef(a, b)[0, 1]) for a, b in parts)))
    return found


def _ridge(inputs: np.ndarray, images: np.ndarray) -> float:
    """The ridge that reads each study of the training best from the others."""
    errors = []
    for ridge in RIDGES:
        left_out = []
        for n in range(len(inputs)):
            rest = np.arange(len(inputs)) != n
            told = _told(inputs[rest], images[rest], inputs[n : n + 1], ridge)[0]
            left_out.append(float(((told - images[n]) ** 2).mean()))
        errors.append(np.mean(left_out))
    return RIDGES[int(np.argmin(errors))]


def _told(inputs: np.ndarray, images: np.ndarray, asked: np.ndarray, ridge: float) -> np.ndarray:
    """Ridge regression in its dual form: more tokens than studies."""
    centre, mean = inputs.mean(0), images.mean(0)
    kernel = (inputs - centre) @ (inputs - centre).T
    damping = ridge * max(float(np.trace(kernel)) / len(kernel), 1e-12) * np.eye(len(kernel))
    return mean + (asked - centre) @ (inputs - centre).T @ np.linalg.solve(kernel + damping, images - mean)


def spoken_readout(found: Sequence[Readout]) -> str:
    """A line for each study."""
    return "\n".join(
        f"{one.name}: correlation {one.card:.3f}, of the others' mean image alone {one.mean:.3f}, "
        f"beyond it {one.beyond:.3f}"
        for one in found
    )

