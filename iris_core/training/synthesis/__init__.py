"""Synthetic episodes for training: `synthesise` draws a batch of pairs with tasks."""

from iris_core.training.synthesis.episode_batch import EpisodeBatch
from iris_core.training.synthesis.families import FAMILIES
from iris_core.training.synthesis.generator import synthesise

__all__ = ["FAMILIES", "EpisodeBatch", "synthesise"]
