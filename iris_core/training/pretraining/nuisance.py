"""The volume as a nuisance: how much of it the best linear probe would find in the embeddings, as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

SHARE = 0.05  # of a step in the running moments
RIDGE = 1e-3  # of the probe, against the mean variance of its inputs
FEWEST = 8  # embeddings of a step, below which it does not count


class VolumeProbe:
    """A ridge regression of the logarithm of the volume on C channels of embeddings.

    It rests on running moments of both, which a run keeps with its state.
    """

    def __init__(self, channels: int, device: str = "cpu") -> None:
        self.moments = torch.zeros(channels + 2, channels + 2, device=device)

    def loss(self, vectors: Tensor, volumes: Tensor) -> Tensor:
        """R2 of the best ridge regression over the last steps, 0 to 1, and this step joins them.

        The moments of earlier steps are fixed and those of this step are not; the gradient is that of R2
        itself, so no probe lags behind that the embeddings could turn away from.

        Args:
            vectors: (N, C), not normalised.
            volumes: (N,), logarithms.
        """
        if len(vectors) < FEWEST:
            return vectors.new_zeros(())
        rows = torch.cat([vectors, volumes[:, None], vectors.new_ones(len(vectors), 1)], dim=1)
        own = rows.T @ rows / len(rows)
        first = not bool(self.moments.any())
        moments = own if first else torch.lerp(self.moments, own, SHARE)
        self.moments.copy_(moments.detach())
        mean = moments[-1, :-1]
        spread = moments[:-1, :-1] - mean[:, None] * mean  # covariances of vectors and volume
        inputs, shared, variance = spread[:-1, :-1], spread[:-1, -1], spread[-1, -1]
        ridge = RIDGE * inputs.diagonal().mean().detach()
        eye = torch.eye(len(inputs), device=vectors.device)
        found = shared @ torch.linalg.solve(inputs + ridge * eye, shared) / variance.clamp_min(1e-6)
        return found if first else found.detach() + (found - found.detach()) / SHARE
