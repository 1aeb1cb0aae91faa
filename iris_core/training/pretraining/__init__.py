"""Training on synthetic tasks alone: one loop for `iris pretrain` and for the long run (docs/training.md)."""

from iris_core.training.pretraining.segment import Settings, pretrain

__all__ = ["Settings", "pretrain"]
