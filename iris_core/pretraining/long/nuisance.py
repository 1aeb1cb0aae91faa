"""The volume as a nuisance: a linear probe learns it from the embeddings, and they unlearn what it finds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

MOMENTUM = 0.98  # of the probe's moments, a step
RIDGE = 1e-3  # of the probe, against the mean square of its inputs
FEWEST = 8  # embeddings of a step worth a look


class VolumeProbe:
    """A ridge regression of the logarithm of the volume, kept up to date by running moments.

    Args:
        channels: C of the embeddings.
        device: of the embeddings.
    """

    def __init__(self, channels: int, device: str = "cpu") -> None:
        self.squares = torch.zeros(channels + 1, channels + 1, device=device)
        self.products = torch.zeros(channels + 1, device=device)

    def tensors(self) -> dict[str, Tensor]:
        """What must be kept to go on."""
        return {"squares": self.squares, "products": self.products}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes back what :meth:`tensors` gave."""
        self.squares.copy_(tensors["squares"])
        self.products.copy_(tensors["products"])

    def loss(self, vectors: Tensor, volumes: Tensor) -> Tensor:
        """Squared correlation of the probe's answer with the truth, 0 to 1; the probe then learns.

        Args:
            vectors: (N, C), not normalised.
            volumes: (N,), logarithms.
        """
        if len(vectors) < FEWEST:
            return vectors.new_zeros(())
        inputs = torch.cat([vectors, vectors.new_ones(len(vectors), 1)], dim=1)
        found = vectors.new_zeros(())
        if bool(self.squares.any()):
            ridge = RIDGE * self.squares.diagonal().mean()
            eye = torch.eye(len(self.squares), device=vectors.device)
            answer = inputs @ torch.linalg.solve(self.squares + ridge * eye, self.products)
            a, b = answer - answer.mean(), volumes - volumes.mean()
            found = (a * b).sum() ** 2 / ((a * a).sum() * (b * b).sum()).clamp_min(1e-8)
        with torch.no_grad():
            self.squares.lerp_(inputs.T @ inputs / len(inputs), 1 - MOMENTUM)
            self.products.lerp_(inputs.T @ volumes / len(inputs), 1 - MOMENTUM)
        return found
