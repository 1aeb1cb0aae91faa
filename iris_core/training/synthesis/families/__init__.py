"""Families of anatomies: each module draws one kind of synthetic person."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from iris_core.training.synthesis.anatomy import Anatomy
from iris_core.training.synthesis.families import (
    brain,
    chain,
    cropped,
    heart,
    lesions,
    organs,
    partition,
    peers,
    specks,
    tubes,
)

Family = Callable[[np.random.Generator, tuple[int, int, int]], Anatomy]

FAMILIES: dict[str, tuple[Family, float]] = {
    "partition": (partition.draw, 0.13),
    "organs": (organs.draw, 0.20),
    "chain": (chain.draw, 0.11),
    "brain": (brain.draw, 0.13),
    "heart": (heart.draw, 0.09),
    "cropped": (cropped.draw, 0.10),
    "lesions": (lesions.draw, 0.05),
    "specks": (specks.draw, 0.05),
    "peers": (peers.draw, 0.07),
    "tubes": (tubes.draw, 0.07),
}


def draw_family(rng: np.random.Generator) -> str:
    """The name of a family, drawn by its share."""
    names = list(FAMILIES)
    share = np.array([FAMILIES[name][1] for name in names])
    return names[rng.choice(len(names), p=share / share.sum())]
