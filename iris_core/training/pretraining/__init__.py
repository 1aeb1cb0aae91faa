"""Training from synthetic tasks alone; imports torch, numpy and scipy, so that it runs on a bare machine."""

from iris_core.training.pretraining.run import run
from iris_core.training.pretraining.settings import Settings

__all__ = ["Settings", "run"]
