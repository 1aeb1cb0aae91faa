"""Synthetic episodes for training: `synthesise` draws a batch of pairs with tasks."""

from .episode_batch import EpisodeBatch
from .families import FAMILIES
from .generator import synthesise

__all__ = ["FAMILIES", "EpisodeBatch", "synthesise"]
