"""Progress callbacks of long operations."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]  # steps done, steps in all


def halves(progress: Progress | None) -> tuple[Progress | None, Progress | None]:
    """The callbacks of two passes with equally many steps, which together count as one operation."""
    if progress is None:
        return None, None
    return (
        lambda done, steps: progress(done, 2 * steps),
        lambda done, steps: progress(steps + done, 2 * steps),
    )
