"""How far a run is and when a segment of it ends: by wall time, or by steps where they are given."""

from __future__ import annotations

from iris_core.training.pretraining.settings import Settings


class Budget:
    """What one segment may spend.

    Args:
        settings: with minutes, or with steps in their place.
        before: seconds that earlier segments took.
    """

    def __init__(self, settings: Settings, before: float) -> None:
        self.before, self.here, self.steps = before, settings.minutes * 60, settings.steps
        self.whole = max(before + self.here, (settings.total_minutes or 0) * 60)

    def progress(self, elapsed: float, steps: int) -> float:
        """The share of the whole run that is done, from 0 on.

        Args:
            elapsed: seconds of this segment.
            steps: of the whole run.
        """
        return steps / self.steps if self.steps else (self.before + elapsed) / self.whole

    def spent(self, elapsed: float, steps: int) -> bool:
        """Whether the segment ends here.

        Args:
            elapsed: seconds of this segment.
            steps: of the whole run.
        """
        return steps >= self.steps if self.steps else elapsed > self.here
